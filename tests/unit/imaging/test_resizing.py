"""Resizing in linear light: how bright fine detail stays, alpha, and strips."""

import numpy as np
import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress, resizing
from imgcompress.imaging.resizing import resized

from tests.support.images import cutout, encoded, opened, photo

# The level of half of the light of white (IEC 61966-2-1), and the mean of the levels.
HALF_LIGHT, HALF_LEVEL = 188, 128


def checkered(mode, width=240, height=160):
    """Return single pixels of black and white, side by side."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(((x + y) % 2 * 255).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_fine_detail_stays_as_bright_as_it_looks_from_afar(mode, fine):
    small = resized(checkered(mode), (60, 40), fine=fine)
    assert small.mode == mode and small.size == (60, 40)
    inside = np.asarray(small.convert("L"))[4:-4, 4:-4].astype(int)
    assert np.abs(inside - HALF_LIGHT).max() <= 2


def test_a_tiny_size_is_reached_by_levels_first():
    """In linear light its strips would take as much memory as the image."""
    small = resized(checkered("L", 1600, 1600), (50, 50), fine=True)
    assert abs(np.asarray(small)[4:-4, 4:-4].mean() - HALF_LEVEL) <= 2


def test_images_not_in_srgb_are_resized_by_their_levels():
    by_levels = resized(checkered("L"), (60, 40), linear=False)
    assert abs(np.asarray(by_levels)[4:-4, 4:-4].mean() - HALF_LEVEL) <= 2
    ink = Image.merge("CMYK", [checkered("L")] * 4)
    assert abs(np.asarray(resized(ink, (60, 40)))[4:-4, 4:-4].mean() - HALF_LEVEL) <= 2


@pytest.mark.parametrize("fine", [False, True])
def test_flat_areas_keep_each_level(fine):
    for level in range(256):
        small = resized(Image.new("L", (12, 12), level), (5, 5), fine=fine)
        assert small.getextrema() == (level, level)


@pytest.mark.parametrize("fine", [False, True])
def test_the_colour_of_clear_pixels_does_not_show(fine):
    image = Image.new("RGBA", (80, 80), (0, 255, 0, 0))
    image.paste((200, 30, 60, 255), (0, 0, 41, 80))
    small = np.asarray(resized(image, (20, 20), fine=fine)).astype(int)
    shown = small[small[..., 3] > 0]
    assert set(small[..., 3].flat) > {0, 255}
    assert np.abs(shown[:, :3] - (200, 30, 60)).max() <= 1


@pytest.mark.parametrize("size", [(97, 61), (60, 40), (11, 7), (239, 159), (1, 1)])
@pytest.mark.parametrize("image", [photo(), cutout()], ids=["photo", "cutout"])
def test_strips_show_no_seams(image, size, monkeypatch):
    whole = np.asarray(resized(image, size, fine=True)).astype(int)
    monkeypatch.setattr(resizing, "_PIXELS_AT_ONCE", 1)
    monkeypatch.setattr(resizing, "_LEAST_ROWS", 5)
    in_strips = np.asarray(resized(image, size, fine=True)).astype(int)
    opaque = np.ones(whole.shape[:2], bool) if image.mode == "RGB" else whole[..., 3] > 32
    assert np.abs(whole - in_strips)[opaque].max() <= 2


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_an_image_is_resized_in_linear_light(format):
    data = encoded(
        checkered("RGB", 960, 640), format, **({"quality": 95} if format == "JPEG" else {})
    )
    result = compress(data, CompressOptions(max_width=120, effort="high"))
    inside = np.asarray(opened(result.data).convert("L"))[8:-8, 8:-8]
    assert abs(inside.mean() - HALF_LIGHT) <= 4


def test_only_high_effort_decodes_all_of_a_jpeg_that_is_resized():
    """The decoder's own reduction is a mean of levels."""
    data = encoded(checkered("RGB", 960, 640), "JPEG", quality=95)
    brightness = {}
    for effort in ("medium", "high"):
        result = compress(data, CompressOptions(max_width=120, effort=effort))
        brightness[effort] = np.asarray(opened(result.data).convert("L"))[8:-8, 8:-8].mean()
    assert abs(brightness["high"] - HALF_LIGHT) <= 4
    assert abs(brightness["medium"] - HALF_LEVEL) <= 4
