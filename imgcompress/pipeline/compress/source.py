"""Look at an image file before it is decoded: what it is, and whether it is within the limits."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from ...errors import ImageError
from .signature import identify
from .structure import avif, gif, jpeg, png, webp

_SHAPES: dict[str, Callable[[bytes], tuple[int, int, int]]] = {
    "png": png.size, "webp": webp.size, "gif": gif.size}
_DECODABLE: dict[str, Callable[[bytes], bytes]] = {
    "png": png.decodable, "avif": avif.decodable}


@dataclass(frozen=True)
class Source:
    """An image file of which it is known what it claims to be.

    What is read of it is read once, when it is first asked for. That may raise ImageError, and
    whatever Pillow raises on a damaged header.
    """

    data: bytes
    format: str

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Return width, height and the number of frames, without decoding any."""
        read = _SHAPES.get(self.format)
        if read:
            return read(self.data)
        # Pillow counts the pages of a TIFF and the images of an MPO as frames; the first is taken.
        frames = getattr(self.image, "n_frames", 1) if self.format == "avif" else 1
        return self.image.width, self.image.height, frames

    @property
    def animated(self) -> bool:
        """Tell whether there is more than one frame."""
        return self.shape[2] > 1

    @cached_property
    def image(self) -> Image.Image:
        """Return the lazy Pillow image, which only the decoder of this very format may read."""
        return Image.open(io.BytesIO(self._decodable()), formats=[self.format.upper()])

    @cached_property
    def segments(self) -> tuple[jpeg.Segment, ...]:
        """Return the segments of a JPEG, nothing for any other format."""
        return tuple(jpeg.segments(self.data)) if self.format == "jpeg" else ()

    @property
    def pixel_bytes(self) -> int:
        """Return how many bytes of a JPEG are compressed pixels; 0 where that is not known."""
        return jpeg.pixel_bytes(self.segments)

    def _decodable(self) -> bytes:
        if self.format == "jpeg":
            return jpeg.decodable(self.segments, self.data)
        return _DECODABLE.get(self.format, bytes)(self.data)


def inspect(data: bytes, max_pixels: int) -> Source:
    """Identify an image and check its limits before anything is decoded.

    Frames count: width x height x frames may not exceed `max_pixels`. Raise ImageError; may also
    raise what Pillow raises on a damaged header.
    """
    source = Source(data, identify(data))
    width, height, frames = source.shape
    if width < 1 or height < 1:
        raise ImageError("corrupt_image", f"The image is {width} x {height} pixels")
    if width * height * frames > max_pixels:
        raise ImageError("too_many_pixels", _count(width, height, frames))
    return source


def _count(width: int, height: int, frames: int) -> str:
    size = f"{width} x {height} pixels"
    return f"The image has {size}" + (f" in {frames} frames" if frames > 1 else "")
