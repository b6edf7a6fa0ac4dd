"""Fetch and compress one image at once, to try options before a job.

It runs in the web server, so its resources are limited: a few images at a time, smaller than those
of jobs, for a few seconds. The image is decoded in a subprocess, whose crash fails only it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config import Settings
from ..errors import ImageError, ImgcompressError
from ..net import DialPolicy
from ..net.fetcher import Fetcher, FetchLimits

if TYPE_CHECKING:
    from ..imaging import Compressed

FETCH_SECONDS = 10.0
COMPRESS_SECONDS = 10.0
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 25_000_000
MAX_FRAMES = 100
# Each takes a core and up to a few hundred MB while it compresses, in each process of the server.
MOST_AT_ONCE = 2
WAIT_SECONDS = 5.0


class TooManyPreviews(ImgcompressError):
    """The maximum number of previews is already being made."""

    code = "too_many_previews"
    message = "Too many previews are being made at the moment. Try again in a few seconds."
    retryable = True


class PreviewFailed(ImgcompressError):
    """The image could not be fetched or compressed, with the code and message of a failed image."""

    def __init__(self, error: ImageError) -> None:
        self.code = error.code
        self.retryable = error.retryable
        super().__init__(error.message, detail=error.detail)


@dataclass(frozen=True)
class Preview:
    """A compressed image that is not stored, and the bytes of its source."""

    input_bytes: int
    output: Compressed


_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def preview_image(
    settings: Settings, url: str, options: Mapping[str, Any], headers: Mapping[str, str]
) -> Preview:
    """Fetch the image at `url` and compress it with these options, as a job would.

    Raise TooManyPreviews and PreviewFailed.
    """
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise TooManyPreviews()
    try:
        data = _fetch(settings, url, headers)
        return Preview(len(data), _compress(settings, data, options))
    except ImageError as error:
        raise PreviewFailed(error) from error
    finally:
        _places.release()


def _fetch(settings: Settings, url: str, headers: Mapping[str, str]) -> bytes:
    policy = DialPolicy(settings.allowed_private_networks, settings.allowed_ports)
    limits = FetchLimits(
        total_seconds=min(FETCH_SECONDS, settings.fetch_timeout),
        connect_seconds=min(FETCH_SECONDS, settings.fetch_connect_timeout),
        max_bytes=min(MAX_BYTES, settings.max_image_bytes),
    )
    fetcher = Fetcher(policy, limits, per_host=1)
    try:
        return fetcher.fetch(url, "", headers).data
    finally:
        fetcher.session.close()


def _compress(settings: Settings, data: bytes, options: Mapping[str, Any]) -> Compressed:
    # The codecs take memory, which a web server needs only for the first preview.
    from ..imaging import CompressOptions
    from ..imaging.codec_process import CodecProcess

    codec = CodecProcess(min(COMPRESS_SECONDS, settings.compress_timeout))
    try:
        return codec.compress(
            data,
            CompressOptions(
                **options,
                min_quality=settings.min_quality,
                max_pixels=min(MAX_PIXELS, settings.max_image_pixels),
                max_frames=min(MAX_FRAMES, settings.max_frames),
                jpeg_engine=settings.jpeg_engine,
            ),
        )
    finally:
        codec.close()
