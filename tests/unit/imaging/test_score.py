"""The score: how good an image looks beside its source."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from imgcompress.catalogue import rating_of
from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.score import (
    BEST,
    TILE,
    TILES,
    compared,
    estimated_score,
    lowest_quality,
    sample,
    sampled,
    score,
)

from tests.support.images import cutout, encoded, opened, photo


def levels(image):
    return np.asarray(image.convert("RGB"))


def test_the_same_pixels_score_best():
    assert score(photo(), encoded(photo(), "PNG")) == BEST
    assert score(cutout(), encoded(cutout(), "PNG")) == BEST


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_less_quality_scores_less(format):
    image = photo(480, 320)
    scores = [score(image, encoded(image, format, quality=quality)) for quality in (95, 75, 40, 5)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 80 > 50 > scores[-1]


def test_blur_and_lost_colours_are_seen():
    image = photo(480, 320)
    assert score(image, encoded(image.filter(ImageFilter.GaussianBlur(3)), "PNG")) < 30
    # The same luma in another hue, which an index of luma alone does not see.
    red, green = (Image.new("RGB", (64, 64), colour) for colour in ((200, 40, 60), (40, 122, 60)))
    assert np.abs(np.diff([np.asarray(one.convert("L")).mean() for one in (red, green)])) < 2
    assert score(red, encoded(green, "PNG")) < 70


def test_one_bad_place_counts_more_than_its_share():
    image = photo(480, 320)
    worst = image.copy()
    worst.paste("magenta", (100, 100, 130, 130))
    assert score(image, encoded(worst, "PNG")) < 80


def test_the_worse_of_a_white_and_a_black_ground_counts():
    logo = Image.new("RGBA", (96, 96))
    logo.paste((255, 255, 255, 255), (20, 20, 70, 70))
    worn = Image.new("RGBA", (96, 96))
    worn.paste((255, 255, 255, 255), (28, 24, 66, 60))
    assert score(logo, encoded(worn, "PNG")) < 50
    # Colours of clear pixels are not seen on any ground.
    noise = Image.effect_noise(cutout().size, 90).convert("RGBA")
    mask = cutout().getchannel("A").point(lambda value: 255 if value else 0)
    same = Image.composite(cutout(), noise, mask)
    same.putalpha(cutout().getchannel("A"))
    assert score(cutout(), encoded(same, "PNG")) == BEST


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 3), (33, 31), (500, 17)])
def test_images_of_any_shape_are_compared(size):
    one = np.full((size[1], size[0], 1), 200, np.uint8)
    assert compared(one, one) == BEST
    assert compared(one, 255 - one) < 50


@pytest.mark.parametrize("size", [(1024, 768), (4000, 64), (1680, 1250)])
def test_a_sample_scores_about_as_the_whole(size):
    image = levels(photo(*size))
    output = levels(photo(*size).quantize(64))
    some = sample(image)
    assert some.shape[0] == TILE and 0.7 * TILES * TILE <= some.shape[1] <= TILES * TILE
    assert compared(some, sample(output)) == pytest.approx(compared(image, output), abs=5)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1024, 768), (4000, 64), (300, 200)])
def test_the_sample_of_an_image_is_that_of_its_pixels(mode, size):
    image = photo(*size).convert(mode)
    pixels = np.asarray(image)
    tiles = sample(pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis])
    assert np.array_equal(np.asarray(sampled(image)).reshape(tiles.shape), tiles)


def test_a_grey_jpeg_is_compared_as_grey():
    grey = photo().convert("L")
    data = encoded(grey, "JPEG", quality=80)
    assert score(grey, data) == pytest.approx(score(grey.convert("RGB"), data), abs=0.5)


def test_the_words_follow_the_scale():
    words = [rating_of(value) for value in (100, 90, 89.9, 70, 69, 50, 49, 0)]
    assert words == ["visually lossless"] * 2 + ["high"] * 2 + ["medium"] * 2 + ["low"] * 2


def test_the_estimate_of_the_jpeg_engine_is_about_the_score(way):
    if way != "engine":
        pytest.skip("only with the engine")
    source = encoded(photo(640, 480), "JPEG", quality=92)
    for percentage in (30, 50, 70, 80):
        made = compress(source, CompressOptions(compression_percentage=percentage))
        assert made.jpeg_engine == "used"
        assert made.score == pytest.approx(score(opened(source), made.data), abs=8)


def test_a_quality_is_found_for_each_score():
    for wanted in (40, 60, 70, 80, 90):
        quality = lowest_quality(wanted)
        assert estimated_score(quality) >= wanted > estimated_score(quality - 1)
    assert lowest_quality(100) == 95
