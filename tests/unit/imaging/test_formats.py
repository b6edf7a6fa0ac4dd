"""Formats in and out."""

import pytest
from PIL import Image, ImageFilter

from imgcompress.imaging import EXTENSIONS, CompressOptions, compress
from imgcompress.imaging.resizing import resized

from .conftest import WITHOUT_ENGINE
from tests.support.images import (
    animated,
    bmp_with_alpha,
    cutout,
    difference,
    drawing,
    encoded,
    on_white,
    opened,
    photo,
)


def lossless(format, image=None):
    settings = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95, "speed": 9},
        "JPEG": {"quality": 97},
    }
    return encoded(image or photo(), format, **settings.get(format, {}))


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("format", ["jpeg", "png", *WITHOUT_ENGINE])
def test_every_format_becomes_every_other(source, format):
    data = lossless(source)
    result = compress(data, CompressOptions(format=format))
    assert result.format == format
    assert opened(result.data).format == format.upper()
    assert difference(opened(result.data), opened(data)) < 8


@pytest.mark.parametrize(
    "source, kept",
    [
        ("JPEG", "jpeg"),
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("GIF", "gif"),
        ("AVIF", "avif"),
        ("TIFF", "jpeg"),
        ("BMP", "jpeg"),
    ],
)
def test_a_format_is_kept_unless_it_is_not_a_web_format(source, kept):
    data = lossless(source)
    result = compress(data, CompressOptions())
    assert result.format == kept
    assert opened(result.data).format == kept.upper()
    assert len(result.data) <= len(data)


@pytest.mark.parametrize(
    "data", [lossless("TIFF", cutout()), bmp_with_alpha(cutout())], ids=["TIFF", "BMP"]
)
def test_other_formats_with_alpha_become_png(data):
    result = compress(data, CompressOptions())
    assert result.format == "png"
    assert difference(opened(result.data), cutout()) < 4


def test_scanned_text_in_a_tiff_becomes_a_png_where_jpeg_is_larger():
    page = drawing(600, 600).convert("1")
    data = encoded(page, "TIFF", compression="group4")
    result = compress(data, CompressOptions())
    assert result.format == "png"
    assert difference(opened(result.data), page) == 0


@pytest.mark.parametrize("source", ["PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("format", ["png", *WITHOUT_ENGINE])
def test_alpha_stays(source, format):
    options = CompressOptions(format=format, min_quality=75)
    result = compress(lossless(source, cutout()), options)
    shown = opened(result.data).convert("RGBA")
    assert shown.getpixel((0, 0))[3] < 8
    assert shown.getpixel((120, 80))[3] > 247
    assert difference(shown, cutout()) < 5


def test_alpha_is_flattened_on_white_only_for_jpeg():
    result = compress(lossless("PNG", cutout()), CompressOptions(format="jpeg"))
    shown = opened(result.data)
    assert min(shown.getpixel((0, 0))) > 250
    assert difference(shown, on_white(cutout())) < 4


@pytest.mark.parametrize(
    "box, size",
    [
        ((120, None), (120, 80)),
        ((None, 40), (60, 40)),
        ((100, 20), (30, 20)),
        ((1000, 1000), (240, 160)),
        ((1, 1), (1, 1)),
    ],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_it_fits_into_the_box_and_never_enlarges(format, box, size):
    data = lossless(format)
    result = compress(data, CompressOptions(max_width=box[0], max_height=box[1]))
    assert (result.width, result.height) == opened(result.data).size == size
    assert len(result.data) <= len(data)
    if min(size) > 10:
        assert difference(opened(result.data), resized(photo(), size)) < 8


@pytest.mark.parametrize("width", [33, 50, 77, 100])
def test_a_reduced_decode_gives_the_size_of_a_full_one(width):
    sizes = {
        compress(lossless(format, photo(1001, 667)), CompressOptions(max_width=width)).height
        for format in ("JPEG", "PNG")
    }
    assert sizes == {round(667 * width / 1001)}


def test_sides_beyond_the_formats_limit_are_an_error(raises):
    data = encoded(drawing(17_000, 200), "PNG")
    with raises("too_many_pixels", "WEBP takes at most 16383"):
        compress(data, CompressOptions(format="webp"))


def test_of_a_camera_file_with_two_pictures_the_first_is_taken():
    data = animated("MPO", [photo(600, 400), drawing(600, 400)], quality=95)
    result = compress(data, CompressOptions())
    assert (result.format, result.outcome) == ("jpeg", "target_met")
    assert difference(opened(result.data), photo(600, 400)) < 8


def test_of_a_tiff_with_two_pages_the_first_is_taken():
    result = compress(animated("TIFF", [photo(), drawing()]), CompressOptions())
    assert difference(opened(result.data), photo()) < 8


def test_every_format_has_an_extension():
    assert EXTENSIONS.keys() == {"jpeg", "png", "webp", "avif", "gif"}


@pytest.mark.parametrize("format", WITHOUT_ENGINE)
def test_more_effort_makes_smaller_files_of_the_same_quality(format):
    data = encoded(photo(480, 320), "PNG")
    low, high = (
        len(compress(data, CompressOptions(format=format, quality=60, effort=effort)).data)
        for effort in ("low", "high")
    )
    assert high < low


def stripes(size=(256, 256), more=200, less=60) -> Image.Image:
    """Return lines of two colours, one pixel wide, whose mean is grey."""
    sheet = Image.new("RGB", size, (more, less, less))
    for top in range(1, sheet.height, 2):
        sheet.paste((less, more, more), (0, top, sheet.width, top + 1))
    return sheet


def has_halved_chroma(data: bytes) -> bool:
    """Return whether an AVIF is 4:2:0, by the box of its configuration (AV1-ISOBMFF, 2.3.3)."""
    flags = data[data.index(b"av1C") + len("av1C") + 2]
    return flags >> 2 & 3 == 3


@pytest.mark.parametrize(
    "image, effort, halved",
    [
        (stripes(), "medium", True),
        (stripes(), "high", False),
        (stripes().crop((0, 0, 255, 255)), "high", False),
        (stripes((1100, 64), more=124, less=112), "high", False),
        (stripes().crop((0, 0, 1, 256)), "high", True),
        (photo().filter(ImageFilter.GaussianBlur(3)), "high", True),
    ],
    ids=["medium effort", "sharp", "odd sides", "wide and faint", "one pixel wide", "soft"],
)
def test_high_effort_keeps_sharp_chroma_of_an_avif(image, effort, halved):
    options = CompressOptions(format="avif", quality=80, effort=effort)
    result = compress(encoded(image, "PNG"), options)
    assert has_halved_chroma(result.data) == halved
    if not halved:
        assert difference(opened(result.data), image) < 8
    elif effort == "medium":
        assert difference(opened(result.data), image) > 20
