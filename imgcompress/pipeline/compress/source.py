"""Look at an image file before it is decoded: what it is, and whether it is within the limits."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod

from PIL import Image

from ...errors import ImageError
from .faults import reading_faults
from .options import CompressOptions
from .signature import identify
from .structure import avif, gif, jpeg, png, tiff, webp

# The most pixels of a side: what JPEG's and GIF's headers can say. Longer ones are no pictures.
MAX_SIDE = 65_535
# A frame takes its time and its memory however small it is: as much as these pixels.
MIN_FRAME_PIXELS = 4_096

_SHAPES: dict[str, Callable[[bytes], tuple[int, int, int]]] = {
    "png": png.size, "webp": webp.size, "gif": gif.size, "tiff": tiff.size}
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
        """Return width, height and the number of frames, without decoding any.

        They are those that the decoder goes by: where a file says two things, the larger one.
        """
        read = _SHAPES.get(self.format)
        if read:
            return read(self.data)
        if self.format == "jpeg":
            return *jpeg.size(self.segments, self.data), 1
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

    def let_go(self) -> None:
        """Let go of the Pillow image: some decoders hold several more copies of its pixels."""
        self.__dict__.pop("image", None)

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


def inspect(data: bytes, options: CompressOptions) -> Source:
    """Identify an image and check its limits before anything is decoded.

    Frames count: width x height x frames may not exceed `max_pixels`. Raise ImageError; may also
    raise what Pillow raises on a damaged header.
    """
    source = Source(data, identify(data))
    width, height, frames = source.shape
    _check(width, height, frames, options)
    if source.format == "avif":
        # Only now, since this looks at each frame.
        _check(*avif.coded_size(data), frames, options)
    with reading_faults(width * height):
        # libwebp takes memory for the canvas as it opens a file.
        opened = source.image.size
    if prod(opened) > width * height:
        raise ImageError("corrupt_image", "The image declares two different sizes")
    return source


def _check(width: int, height: int, frames: int, options: CompressOptions) -> None:
    if width < 1 or height < 1:
        raise ImageError("corrupt_image", f"The image is {width} x {height} pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageError("too_many_pixels", f"{_count(width, height, frames)}, and at most"
                         f" {MAX_SIDE} per side are accepted")
    if width * height * frames > options.max_pixels:
        raise ImageError("too_many_pixels", _count(width, height, frames))
    if frames > options.max_frames:
        raise ImageError("too_many_frames", f"The image has {frames} frames, and at most"
                         f" {options.max_frames} are accepted")
    if 1 < frames and frames * MIN_FRAME_PIXELS > options.max_pixels:
        raise ImageError("too_many_frames", f"The image has {frames} frames, each of which counts"
                         f" as {MIN_FRAME_PIXELS} pixels at least")


def _count(width: int, height: int, frames: int) -> str:
    size = f"{width} x {height} pixels"
    return f"The image has {size}" + (f" in {frames} frames" if frames > 1 else "")
