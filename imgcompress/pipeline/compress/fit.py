"""Sizes: turn an image upright and fit it into the box that the caller asked for."""

from __future__ import annotations

from PIL import Image

from .options import CompressOptions

# The values of the EXIF tag Orientation (CIPA DC-008, 4.6.4) and what makes the image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112
# Where Pillow looks for it in a JPEG; a search for nothing costs as much as all other headers.
_TELL_ORIENTATION = {"exif", "xmp"}


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    if image.format == "JPEG" and not _TELL_ORIENTATION & image.info.keys():
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Any damage in metadata that are dropped anyway.
        return 1
    return value if value in UPRIGHT else 1


def fitted_size(size: tuple[int, int], turn: int, options: CompressOptions) -> tuple[int, int]:
    """Return the size, in the orientation of `size`, that fits the box of the upright image."""
    box = (options.max_width, options.max_height)
    if turn >= 5:
        box = (options.max_height, options.max_width)
    scale = min([1.0] + [limit / side for limit, side in zip(box, size) if limit])
    if scale == 1.0:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the image at this size; Pillow weights colours by alpha as it resamples."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def upright(image: Image.Image, turn: int) -> Image.Image:
    """Return the image as EXIF says that it is to be seen."""
    return image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image
