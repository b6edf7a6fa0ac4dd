"""EXIF orientation: applied to the pixels, and gone afterwards."""

import pytest
from PIL import Image, ImageOps

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.containers import png

from tests.support.images import difference, encoded, opened, photo

FORMATS = [
    ("JPEG", {"quality": 95}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("AVIF", {"quality": 95, "speed": 9}),
]


def oriented(format, settings, orientation, image=None):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image or photo(), format, exif=exif, **settings)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format, settings", FORMATS, ids=[name for name, _ in FORMATS])
def test_the_pixels_are_turned(format, settings, orientation):
    data = oriented(format, settings, orientation)
    result = compress(data, CompressOptions())
    upright = ImageOps.exif_transpose(opened(data))
    shown = opened(result.data)
    assert shown.size == (result.width, result.height) == upright.size
    assert shown.getexif().get(0x0112, 1) == 1
    assert difference(shown, upright) < 6


def test_the_orientation_of_a_png_counts_only_before_its_pixels():
    """As in browsers, and as the specification of PNG wants it (third edition, 11.3.3.5)."""
    data = oriented("PNG", {}, 6)
    assert compress(data, CompressOptions()).width == 160
    chunk = next(chunk for chunk in png.chunks(data) if chunk.kind == b"eXIf")
    moved = data[: chunk.start] + data[chunk.end : -12] + data[chunk.start : chunk.end] + data[-12:]
    assert compress(moved, CompressOptions()).width == 240


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_box_is_that_of_the_upright_image(orientation):
    data = oriented("JPEG", {"quality": 95}, orientation)
    result = compress(data, CompressOptions(max_width=80))
    assert (result.width, result.height) == ((80, 53) if orientation == 3 else (80, 120))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_image_below_the_floor_is_turned_and_no_larger(orientation):
    data = oriented("JPEG", {"quality": 15}, orientation, photo(600, 400))
    result = compress(data, CompressOptions())
    # Turned without a loss, some of them happen to spell what a browser might take for a script. The
    # engine makes these once more, with a slight loss, and then they have a quality.
    made_again = result.jpeg_engine == "used" and result.quality is not None
    assert result.outcome == ("floor_reached" if made_again else "already_small")
    assert len(result.data) <= len(data)
    assert difference(opened(result.data), ImageOps.exif_transpose(opened(data))) < 5


def test_broken_exif_is_no_reason_to_fail():
    data = encoded(photo(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff\1\2")
    assert compress(data, CompressOptions()).outcome == "target_met"
