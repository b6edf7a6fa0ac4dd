"""Every pixel mode comes out right to the eye."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.decode import to_plain

from .conftest import WITHOUT_ENGINE
from tests.support.images import cutout, difference, encoded, opened, photo

GREY = photo().convert("L")
LIMIT = 4


def deep(dtype, factor):
    return Image.fromarray((np.asarray(GREY).astype(np.float64) * factor).astype(dtype))


def lab():
    return ImageCms.profileToProfile(
        photo(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )


def palette_with_clear_colour():
    image = photo().quantize(64)
    image.paste(3, (0, 0, 40, 40))
    image.info["transparency"] = 3
    return image


# name: (image, format that stores it, what it looks like)
MODES = {
    "1": (photo().convert("1"), "PNG", photo().convert("1")),
    "L": (GREY, "PNG", GREY),
    "LA": (cutout().convert("LA"), "PNG", cutout().convert("LA")),
    "P": (photo().quantize(200), "PNG", photo().quantize(200)),
    "P and clear": (palette_with_clear_colour(), "PNG", palette_with_clear_colour()),
    "RGB": (photo(), "PNG", photo()),
    "RGBA": (cutout(), "PNG", cutout()),
    "CMYK in TIFF": (photo().convert("CMYK"), "TIFF", photo()),
    "CMYK in JPEG, inverted": (photo().convert("CMYK"), "JPEG", photo()),
    "YCbCr": (photo().convert("YCbCr"), "TIFF", photo()),
    "LAB": (lab(), "TIFF", photo()),
    "I;16 in PNG": (deep(np.uint16, 257), "PNG", GREY),
    "I;16 in TIFF": (deep(np.uint16, 257), "TIFF", GREY),
    "I of 8 bits": (deep(np.int32, 1), "TIFF", GREY),
    "I of 16 bits": (deep(np.int32, 257), "TIFF", GREY),
    "F of 0 to 1": (deep(np.float32, 1 / 255), "TIFF", GREY),
    "F of 8 bits": (deep(np.float32, 1), "TIFF", GREY),
}


@pytest.mark.parametrize("format", ["keep", "jpeg", "png", *WITHOUT_ENGINE])
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_comes_out_right(mode, format):
    image, stored_as, look = MODES[mode]
    data = encoded(image, stored_as, **({"quality": 95} if stored_as == "JPEG" else {}))
    # The least of compression, so that only the conversion is measured.
    options = CompressOptions(format=format, compression_percentage=1, min_quality=95)
    assert difference(opened(compress(data, options).data), look) < LIMIT


def test_values_of_an_unknown_range_are_spread_over_the_greys():
    image = Image.fromarray(np.array([[-2.0, 0.0, 2.0]], dtype=np.float32))
    assert list(to_plain(image).tobytes()) == [0, 128, 255]


def test_values_that_are_no_numbers_do_not_spoil_the_others():
    image = Image.fromarray(np.array([[np.nan, np.inf, 1.0]], dtype=np.float32))
    assert list(to_plain(image).tobytes()) == [0, 0, 255]


def test_an_alpha_band_that_hides_nothing_is_dropped():
    image = photo().convert("RGBA")
    assert to_plain(image).mode == "RGB"


@pytest.mark.parametrize("key", [(255, 255, 255), (0, 0, 0)])
def test_a_clear_colour_of_an_rgb_png_becomes_alpha(key):
    image = Image.new("RGB", (64, 64), "red")
    image.paste(key, (0, 0, 32, 64))
    shown = opened(
        compress(encoded(image, "PNG", transparency=key), CompressOptions(format="webp")).data
    )
    assert shown.getpixel((4, 4))[3] < 8
    assert shown.getpixel((60, 60))[3] > 247
