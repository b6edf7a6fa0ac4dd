"""The options of a compression, and its result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompressOptions:
    """How one image is to be compressed.

    `compression_percentage` is the share of the input's bytes to be saved, 1 to 95; `quality`
    (1 to 95) replaces that search with a fixed quality, on the scale of the output format, or of
    JPEG with `format` auto. `format` is keep, auto, jpeg, png, webp or avif; `formats` are those
    that auto may choose from, separated by commas, or None for all.
    `max_width` and `max_height` are pixels of the upright image; nothing is ever enlarged.
    `min_quality` is the floor of the search on the JPEG scale, and `min_score` (1 to 95) a floor
    for the score instead; `max_pixels` counts width x height x frames, and `max_frames` the frames
    alone. `effort` is low, medium or high: how much time the encoders may take for the same bytes.
    `jpeg_engine` allows JPEGs that stay JPEGs to be compressed without decoding their pixels.
    `metadata` is none or rights (rights.py), for which `reserved` bytes are left.
    """

    compression_percentage: int = 50
    quality: int | None = None
    format: str = "keep"
    formats: str | None = None
    max_width: int | None = None
    max_height: int | None = None
    effort: str = "medium"
    min_quality: int = 30
    min_score: int | None = None
    max_pixels: int = 50_000_000
    max_frames: int = 2_000
    jpeg_engine: bool = True
    metadata: str = "none"
    reserved: int = 0

    def budget(self, source_bytes: int) -> int:
        """Return the most bytes that the pixels may take to reach the target."""
        return max(1, source_bytes * (100 - self.compression_percentage) // 100 - self.reserved)

    def limit(self, source_bytes: int) -> int:
        """Return the most bytes that the pixels may take in an output no larger than its source."""
        return max(1, source_bytes - self.reserved)


EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif", "gif": "gif"}


@dataclass(frozen=True)
class Compressed:
    """One compressed image.

    `quality` is on the scale of the output format, None where the pixels were stored losslessly or
    through a palette. `score` is that of score.py, 0 to 100. `outcome` is one of:

    * target_met: the promised share of bytes was saved; with a fixed quality: that quality was
      used, and the output is smaller than the input.
    * floor_reached: smaller than the input, but the floor of quality came before the target.
    * already_small: nothing could be gained; the stored file is no larger than the input.
    * larger: a format that the caller forced, or that TIFF and BMP had to become, is larger than
      the input. With `keep` and any other format it happens only to a drawing of about 100 bytes
      that was resized: its new edges have more colours than it had.

    `jpeg_engine` is, for a JPEG that stays one, `used` if the engine made it, or else the reason in
    one word; None for all others.
    """

    data: bytes
    format: str
    width: int
    height: int
    quality: int | None
    outcome: str
    score: float
    jpeg_engine: str | None = None
    # Another format that would need fewer bytes at the same score, and about how many.
    advice_format: str | None = None
    advice_bytes: int | None = None
