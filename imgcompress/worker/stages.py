"""The stages of each image in a worker process: fetch, compress, store."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import replace
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
from ..tracing import traced
from .circuits import HostCircuits
from .reuse import Contents, Original
from .slices import SliceImage

log = logging.getLogger(__name__)

# A codec process limits an image's time itself. It starts within this time even on a busy machine.
CODEC_PROCESS_SECONDS = 60.0


class Encoded(NamedTuple):
    """A compressed image, and its result once it is stored."""

    output: Compressed
    result: Success


class ImageStages:
    """The three stages of an image, with the session, the storage and the codec of this process.

    Each raises ImageError if only this image fails. Any thread may call them.
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
        self.contents = Contents()

    def source_of(self, claim: Claim, image: PendingImage) -> Source:
        """Return where an image comes from; the host is "" if it may not be fetched."""
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

    def fetch(self, item: SliceImage) -> Original | Success:
        """Fetch an image from its host, with its job's options.

        If the image has not changed since the earlier job, return that job's result instead.
        """
        claim, source, reuse = item.slice.claim, item.source, item.slice.reuse
        self.circuits.check(source, claim.request_id)
        with FETCH.timing(), self._traced("fetch", item):
            fetched = self.fetcher.fetch(
                item.image.input_url,
                source.owner,
                claim.request_headers,
                reuse.validator(item.image),
            )
        return reuse.unchanged(item.image, fetched)

    def look_up(self, ready: Collection[tuple[SliceImage, Original]]) -> None:
        """Look up which of some images other processes have compressed under another URL."""
        claims = {item.slice.claim.request_id: item.slice.claim for item, _ in ready}
        for request_id, claim in claims.items():
            self.contents.look_up(
                claim,
                [
                    (item.image, original)
                    for item, original in ready
                    if item.slice.claim.request_id == request_id and item.begins
                ],
            )

    def compress(self, item: SliceImage, original: Original) -> Encoded | Success:
        """Compress an image with the options of its row, or else of its job.

        If another image of the job has the same content, return its result instead. If a worker
        died while it had this slice, any image of the slice may have been the cause, so its images
        are compressed in the codec process.
        """
        settings, claim = self.settings, item.slice.claim
        same = self.contents.find(claim, item.image, original)
        if same is not None:
            return replace(same, change=item.slice.reuse.change(item.image))
        options = CompressOptions(
            **claim.compression_of(item.image),
            min_quality=settings.min_quality,
            max_pixels=settings.max_image_pixels,
            max_frames=settings.max_frames,
            jpeg_engine=settings.jpeg_engine,
        )
        run = self.codec_process.compress if claim.crashes else compress
        try:
            with COMPRESS.timing(), self._traced("compress", item):
                made = run(original.data, options)
        except MemoryError as error:
            raise ImageError("out_of_memory", detail=repr(error)) from error
        if made.jpeg_engine:
            SHARE.add([(JPEG_ENGINE.sample(made.jpeg_engine), 1.0)])
        extension = EXTENSIONS[made.format]
        result = Success(
            item.image,
            outcome=made.outcome,
            input_bytes=len(original.data),
            output_bytes=len(made.data),
            width=made.width,
            height=made.height,
            output_format=made.format,
            extension=extension,
            quality=made.quality,
            score=made.score,
            advice_format=made.advice_format,
            advice_bytes=made.advice_bytes,
            storage_key=image_key(claim.request_id, item.image.image_id, extension, claim.epoch),
            source_hash=original.source_hash,
            content_ref=original.content_ref,
            validator=original.validator,
            change=item.slice.reuse.change(item.image),
        )
        self.contents.add(claim, original, result)
        return Encoded(made, result)

    def _traced(self, stage: str, item: SliceImage) -> AbstractContextManager[None]:
        return traced(stage, item.slice.claim.request_id, image_id=str(item.image.image_id))

    def compress_seconds(self, item: SliceImage) -> float:
        """Return the number of seconds after which an image in compress() counts as stuck."""
        in_process = CODEC_PROCESS_SECONDS if item.slice.claim.crashes else 0.0
        return self.settings.compress_timeout + in_process

    def store(self, item: SliceImage, encoded: Encoded) -> Success:
        """Store a compressed image. Raise StorageUnavailable."""
        with STORE.timing(), self._traced("store", item):
            self.storage.write(encoded.result.storage_key, encoded.output.data)
        return encoded.result

    def delete(self, keys: Collection[str]) -> None:
        """Delete stored images."""
        for key in keys:
            try:
                self.storage.delete(key)
            except StorageUnavailable as error:
                log.warning("A file that belongs to nothing stays until the next sweep: %s", error)
