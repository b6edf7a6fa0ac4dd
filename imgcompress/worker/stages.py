"""What a worker process does with each image: fetch, compress, store; and what it needs for that."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import NamedTuple

from ..config import Settings
from ..errors import ImageError, NetworkError, StorageUnavailable
from ..imaging import EXTENSIONS, Compressed, CompressOptions, compress
from ..imaging.codec_process import CodecProcess
from ..ledger.hosts import Source
from ..ledger.results import Success
from ..ledger.slices import Claim, PendingImage
from ..metrics import COMPRESS, FETCH, JPEG_ENGINE, SHARE, STORE
from ..net import DialPolicy, origin_of
from ..net.fetcher import Fetcher, FetchLimits
from ..storage import image_key, open_storage
from .circuits import HostCircuits
from .slices import SliceImage

log = logging.getLogger(__name__)

# A codec process limits an image's time by itself, and starts within this time also on a machine
# that is busy.
CODEC_PROCESS_SECONDS = 60.0


class Encoded(NamedTuple):
    """A compressed image, and how many bytes its source had."""

    input_bytes: int
    output: Compressed


class ImageStages:
    """The three stages of an image, with the session, the storage and the codec of this process.

    Each raises ImageError for a failure of the image alone. Any thread may call them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = open_storage(settings)
        self.fetcher = Fetcher(
            DialPolicy(settings.allowed_private_networks, settings.allowed_ports),
            FetchLimits(
                total_seconds=settings.fetch_timeout,
                connect_seconds=settings.fetch_connect_timeout,
                max_bytes=settings.max_image_bytes,
            ),
            per_host=settings.fetch_per_host,
        )
        self.circuits = HostCircuits(
            pause=settings.fetch_suspend_seconds,
            probe_seconds=settings.fetch_timeout + settings.compress_timeout,
            download_seconds=settings.fetch_timeout,
        )
        self.codec_process = CodecProcess(settings.compress_timeout)

    def source_of(self, claim: Claim, image: PendingImage) -> Source:
        """Return where an image comes from; the host is "" where it may not be fetched."""
        try:
            authority = origin_of(image.input_url, self.fetcher.policy).authority
        except NetworkError:
            authority = ""
        return Source(claim.owner or "", authority)

    def limit_of(self, source: Source) -> int:
        """Return how many images of a source may be fetched at the same time."""
        if self.circuits.one_at_a_time(source):
            return 1
        return self.fetcher.hosts.limit(source.authority, source.owner)

    def fetch(self, item: SliceImage) -> bytes:
        """Fetch an image from its host, as its job asks for it."""
        claim, source = item.slice.claim, item.source
        self.circuits.check(source, claim.request_id)
        with FETCH.timing():
            return self.fetcher.fetch(
                item.image.input_url, source.owner, claim.request_headers
            ).data

    def compress(self, item: SliceImage, data: bytes) -> Encoded:
        """Compress an image as its row asks, and else as its job.

        Where a worker died over its slice before, any image of the slice may have been the cause,
        so each is compressed in a process of its own.
        """
        settings, claim = self.settings, item.slice.claim
        options = CompressOptions(
            **claim.compression_of(item.image),
            min_quality=settings.min_quality,
            max_pixels=settings.max_image_pixels,
            max_frames=settings.max_frames,
            jpeg_engine=settings.jpeg_engine,
        )
        run = self.codec_process.compress if claim.crashes else compress
        try:
            with COMPRESS.timing():
                made = run(data, options)
        except MemoryError as error:
            raise ImageError("out_of_memory", detail=repr(error)) from error
        if made.jpeg_engine:
            SHARE.add([(JPEG_ENGINE.sample(made.jpeg_engine), 1.0)])
        return Encoded(len(data), made)

    def compress_seconds(self, item: SliceImage) -> float:
        """Return after how many seconds of compress() an image counts as stuck."""
        in_process = CODEC_PROCESS_SECONDS if item.slice.claim.crashes else 0.0
        return self.settings.compress_timeout + in_process

    def store(self, item: SliceImage, encoded: Encoded) -> Success:
        """Store a compressed image. Raise StorageUnavailable."""
        claim, output = item.slice.claim, encoded.output
        extension = EXTENSIONS[output.format]
        key = image_key(claim.request_id, item.image.image_id, extension, claim.epoch)
        with STORE.timing():
            self.storage.write(key, output.data)
        return Success(
            item.image,
            outcome=output.outcome,
            input_bytes=encoded.input_bytes,
            output_bytes=len(output.data),
            width=output.width,
            height=output.height,
            output_format=output.format,
            extension=extension,
            quality=output.quality,
            similarity=output.similarity,
            storage_key=key,
        )

    def delete(self, keys: Collection[str]) -> None:
        """Delete stored images."""
        for key in keys:
            try:
                self.storage.delete(key)
            except StorageUnavailable as error:
                log.warning("A file that belongs to nothing stays until the next sweep: %s", error)
