"""The promise about bytes, and the outcome that says how it was kept."""

import numpy as np
import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress

from tests.support.images import SAMPLES, cutout, difference, drawing, encoded, opened, photo

PHOTOS = [SAMPLES / name for name in ("rocket.jpg", "coffee.png", "chelsea.png")]


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
@pytest.mark.parametrize("percentage", [30, 50, 70])
def test_a_photo_is_made_smaller_by_the_percentage(path, percentage):
    data = path.read_bytes()
    result = compress(data, CompressOptions(compression_percentage=percentage))
    assert len(result.data) <= len(data) * (100 - percentage) / 100
    assert result.outcome == "target_met"
    assert result.score > 40
    assert difference(opened(result.data), opened(data)) < 8


@pytest.mark.parametrize(
    "format, settings",
    [
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 85, "subsampling": 0}),
        ("JPEG", {"quality": 90, "progressive": True}),
        ("WEBP", {"quality": 90}),
        ("AVIF", {"quality": 85, "speed": 9}),
        ("PNG", {}),
        ("TIFF", {}),
        ("BMP", {}),
    ],
)
def test_every_format_is_halved(format, settings):
    data = encoded(photo(), format, **settings)
    result = compress(data, CompressOptions())
    assert result.outcome == "target_met"
    assert len(result.data) <= len(data) // 2
    assert (result.width, result.height) == opened(result.data).size == (240, 160)


def test_a_budget_is_spent_and_not_only_kept():
    data = encoded(photo(600, 400), "JPEG", quality=92)
    result = compress(data, CompressOptions())
    assert 0.4 * len(data) < len(result.data) <= 0.5 * len(data)


@pytest.mark.parametrize("quality", [35, 40])
def test_a_photo_of_low_quality_stops_at_the_floor(quality):
    data = encoded(photo(600, 400), "JPEG", quality=quality)
    result = compress(data, CompressOptions())
    assert result.outcome == "floor_reached"
    assert result.quality == 30
    assert len(data) / 2 < len(result.data) < len(data)


def test_the_floor_can_be_moved():
    data = encoded(photo(600, 400), "JPEG", quality=80)
    result = compress(data, CompressOptions(min_quality=60))
    assert (result.outcome, result.quality) == ("floor_reached", 60)


@pytest.mark.parametrize(
    "format, settings",
    [
        ("JPEG", {"quality": 20}),
        ("WEBP", {"quality": 10}),
        ("AVIF", {"quality": 25, "speed": 9}),
    ],
)
def test_what_is_below_the_floor_already_is_passed_on_as_it_looks(format, settings):
    data = encoded(photo(), format, **settings)
    result = compress(data, CompressOptions())
    assert result.outcome == "already_small"
    assert len(result.data) <= len(data)
    assert result.score > 80
    assert difference(opened(result.data), opened(data)) < 1


def test_a_drawing_that_gains_nothing_is_already_small():
    data = compress(encoded(drawing().quantize(8), "PNG"), CompressOptions()).data
    result = compress(data, CompressOptions())
    assert result.outcome == "already_small"
    assert difference(opened(result.data), drawing()) == 0


def test_removing_metadata_may_reach_the_target_without_loss():
    image = photo()
    data = encoded(image, "JPEG", quality=60, comment=b"x" * 30_000)
    result = compress(data, CompressOptions())
    assert (result.outcome, result.quality) == ("target_met", None)
    assert difference(opened(result.data), opened(data)) == 0


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_a_fixed_quality_skips_the_search(format):
    data = encoded(photo(), "JPEG", quality=95)
    result = compress(data, CompressOptions(quality=70, format=format))
    assert (result.outcome, result.quality) == ("target_met", 70)


def test_a_fixed_quality_never_makes_a_kept_format_larger():
    data = encoded(photo(), "JPEG", quality=50)
    result = compress(data, CompressOptions(quality=90))
    assert result.outcome == "already_small"
    assert len(result.data) <= len(data)


@pytest.mark.parametrize("quality, colours", [(80, 256), (50, 128), (30, 64)])
def test_a_fixed_quality_gives_a_png_that_many_colours(quality, colours):
    result = compress(encoded(photo(), "PNG"), CompressOptions(quality=quality))
    assert result.outcome == "target_met"
    assert colours // 2 < len(opened(result.data).getcolors()) <= colours


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_clear_and_translucent_pixels_stay_with_the_fewest_colours(format):
    data = encoded(cutout(48, 32), format)
    result = compress(data, CompressOptions(compression_percentage=90, min_quality=1))
    alpha = opened(result.data).convert("RGBA").getchannel("A")
    assert len(result.data) < len(data)
    assert alpha.getpixel((0, 0)) == 0 and alpha.getpixel((24, 16)) == 255


def test_a_forced_format_that_is_larger_is_reported():
    data = encoded(photo(), "JPEG", quality=40)
    result = compress(data, CompressOptions(format="png"))
    assert result.outcome == "larger"
    assert len(result.data) > len(data)


def test_sharp_chroma_is_kept_where_the_quality_allows_it(way):
    data = encoded(photo(600, 400), "JPEG", quality=97, subsampling=0)
    kept = opened(compress(data, CompressOptions()).data)
    coarse = opened(compress(data, CompressOptions(compression_percentage=80)).data)
    assert kept.layer[0][1:3] == kept.layer[1][1:3]
    # Without pixels it cannot be halved, and costs little where its coefficients are coarse.
    assert coarse.layer[0][1:3] == ((1, 1) if way == "engine" else (2, 2))


@pytest.mark.parametrize("image", [photo(), cutout(), drawing()], ids=["photo", "cutout", "flat"])
def test_a_png_keeps_its_look(image):
    result = compress(encoded(image, "PNG"), CompressOptions())
    assert result.format == "png"
    assert difference(opened(result.data), image) < 4


def test_a_png_with_few_colours_stays_exact():
    data = encoded(drawing(400, 400), "PNG", compress_level=0)
    result = compress(data, CompressOptions())
    assert result.outcome == "target_met"
    assert difference(opened(result.data), drawing(400, 400)) == 0


def test_a_png_that_deflate_can_halve_stays_exact():
    image = photo(400, 300)
    result = compress(
        encoded(image, "PNG", compress_level=0), CompressOptions(compression_percentage=10)
    )
    assert result.score == 100
    assert difference(opened(result.data), image) == 0


def test_a_png_is_not_given_losses_that_gain_nothing():
    """A palette image of noise: fewer colours cost its look and hardly save a byte."""
    noise = np.random.default_rng(7).integers(0, 256, (160, 240, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).quantize(256), "PNG", compress_level=1)
    result = compress(data, CompressOptions(min_quality=75))
    assert (result.outcome, result.score) in (("floor_reached", 100), ("already_small", 100))
    assert difference(opened(result.data), opened(data)) == 0


def test_a_gradient_of_few_levels_is_halved_with_few_colours():
    """Fewer than 64 colours are allowed where 16 of them have almost no error."""
    rng = np.random.default_rng(7)
    ramp = np.linspace(40, 70, 400)[None, :] + rng.normal(0, 1.2, (300, 400))
    data = encoded(Image.fromarray(np.stack([ramp] * 3, axis=2).astype(np.uint8)), "PNG")
    result = compress(data, CompressOptions())
    assert result.outcome == "target_met"
    assert difference(opened(result.data), opened(data)) < 2
