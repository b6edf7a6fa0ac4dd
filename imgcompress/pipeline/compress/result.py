"""What one compression gives."""

from __future__ import annotations

from dataclasses import dataclass

EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif", "gif": "gif"}
MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
}


@dataclass(frozen=True)
class Compressed:
    """One compressed image.

    `quality` is on the scale of the output format, None where the pixels were stored losslessly or
    through a palette. `similarity` is the SSIM of similarity.py, 0 to 1. `outcome` is one of:

    * target_met: the promised share of bytes was saved; with a fixed quality: that quality was
      used, and the output is smaller than the input.
    * floor_reached: smaller than the input, but the floor of quality came before the target.
    * already_small: nothing could be gained; the stored file is no larger than the input.
    * larger: a format that the caller forced, or that TIFF and BMP had to become, is larger than
      the input. With `keep` and any other format it happens only to a drawing of about 100 bytes
      that was resized: its new edges have more colours than it had.

    `jpeg_engine` tells of a JPEG that stays one whether the engine made it (`used`), or in a word
    why not; None for all others.
    """

    data: bytes
    format: str
    width: int
    height: int
    quality: int | None
    outcome: str
    similarity: float | None
    jpeg_engine: str | None = None
