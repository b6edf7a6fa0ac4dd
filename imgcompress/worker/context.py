"""What one worker process keeps between slices: its session, its threads, its storage."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import cache, partial
from typing import Any, NamedTuple

from ..config import Settings
from ..errors import ImageError, NetworkError, StorageUnavailable
from ..extensions import current_settings
from ..imaging import EXTENSIONS, Compressed, CompressOptions, compress
from ..imaging.codec_process import CodecProcess
from ..ledger.hosts import Source
from ..ledger.results import Success
from ..ledger.slices import Claim, PendingImage
from ..metrics import COMPRESS, FETCH, JPEG_ENGINE, SHARE, STORE
from ..net import DialPolicy, origin_of
from ..net.fetcher import Fetcher, FetchLimits
from ..storage import image_key, open_storage
from .hosts import HostCircuits
from .pipeline import SliceRunner

log = logging.getLogger(__name__)

# Quarantine ends an image by itself, and starts within this time also on a machine that is busy.
CODEC_PROCESS_SECONDS = 60.0


@cache
def worker_context() -> WorkerContext:
    """Return this process's workbench; it is made in the process that uses it, after the fork."""
    return WorkerContext(current_settings())


class Encoded(NamedTuple):
    """A compressed image, and how many bytes its source had."""

    input_bytes: int
    output: Compressed


class WorkerContext:
    """The tools to fetch, compress and store images."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = open_storage(settings)
        self.runner = SliceRunner(concurrency=settings.fetch_concurrency)
        self.fetcher = _fetcher(settings)
        self.circuits = HostCircuits(
            pause=settings.fetch_suspend_seconds,
            probe_seconds=settings.fetch_timeout + settings.compress_timeout,
            download_seconds=settings.fetch_timeout,
        )
        self.quarantine = CodecProcess(settings.compress_timeout)

    def source_of(self, claim: Claim, image: PendingImage) -> Source:
        """Return where an image comes from; the host is "" where it may not be fetched."""
        try:
            authority = origin_of(image.input_url, self.fetcher.policy).authority
        except NetworkError:
            authority = ""
        return Source(claim.owner or "", authority)

    def limit_of(self, source: Source) -> int:
        """Return how many images of a source may be in hand at the moment."""
        if self.circuits.one_at_a_time(source):
            return 1
        return self.fetcher.hosts.limit(source.authority, source.owner)

    def fetch(self, claim: Claim, image: PendingImage, source: Source) -> bytes:
        """Fetch an image from its host, as its job asks for it. Raise ImageError."""
        self.circuits.check(source, claim.request_id)
        with FETCH.timing():
            return self.fetcher.fetch(image.input_url, source.owner, claim.request_headers).data

    def note(self, claim: Claim, source: Source, outcome: Success | ImageError) -> None:
        """Take note of what an image tells about its host."""
        error = outcome if isinstance(outcome, ImageError) else None
        self.circuits.note(source, error, claim.request_id)

    def compress(self, claim: Claim, image: PendingImage, data: bytes) -> Encoded:
        """Compress an image. Raise ImageError.

        Where a worker died over its slice before, any of the slice's images may have been the
        cause.
        """
        run = self.quarantine.compress if claim.crashes else compress
        try:
            with COMPRESS.timing():
                made = run(data, self._options(claim.compression_of(image)))
        except MemoryError as error:
            raise ImageError("out_of_memory", detail=repr(error)) from error
        if made.jpeg_engine:
            SHARE.add([(JPEG_ENGINE.sample(made.jpeg_engine), 1.0)])
        return Encoded(len(data), made)

    def compress_seconds(self, claim: Claim) -> float:
        """Return after how many seconds an image of a slice counts as stuck in this process."""
        return self.settings.compress_timeout + (CODEC_PROCESS_SECONDS if claim.crashes else 0)

    def store(self, claim: Claim, image: PendingImage, made: Encoded) -> Success:
        """Store a compressed image. Raise StorageUnavailable."""
        output = made.output
        extension = EXTENSIONS[output.format]
        key = image_key(claim.request_id, image.image_id, extension, claim.epoch)
        with STORE.timing():
            self.storage.write(key, output.data)
        return Success(
            image,
            outcome=output.outcome,
            input_bytes=made.input_bytes,
            output_bytes=len(output.data),
            width=output.width,
            height=output.height,
            output_format=output.format,
            extension=extension,
            quality=output.quality,
            similarity=output.similarity,
            storage_key=key,
        )

    def take_away(self, keys: Collection[str]) -> None:
        """Have stored images deleted by the threads that store; nobody waits for it."""
        for key in keys:
            self.runner.lanes.stores.begin(partial(self._delete, key))

    def _delete(self, key: str) -> None:
        try:
            self.storage.delete(key)
        except StorageUnavailable as error:
            log.warning("A file that belongs to nothing stays until the next sweep: %s", error)

    def _options(self, options: dict[str, Any]) -> CompressOptions:
        return CompressOptions(
            **options,
            min_quality=self.settings.min_quality,
            max_pixels=self.settings.max_image_pixels,
            max_frames=self.settings.max_frames,
            jpeg_engine=self.settings.jpeg_engine,
        )


def _fetcher(settings: Settings) -> Fetcher:
    policy = DialPolicy(settings.allowed_private_networks, settings.allowed_ports)
    limits = FetchLimits(
        total_seconds=settings.fetch_timeout,
        connect_seconds=settings.fetch_connect_timeout,
        max_bytes=settings.max_image_bytes,
    )
    return Fetcher(policy, limits, per_host=settings.fetch_per_host)
