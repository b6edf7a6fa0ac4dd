"""The score of similarity."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from imgcompress.imaging.similarity import luma, reduction, similarity, ssim

from .images import cutout, encoded, photo


def test_an_image_is_like_itself():
    grey = luma(photo(), 1)
    assert ssim(grey, grey) == pytest.approx(1)


def test_the_negative_is_unlike():
    grey = luma(photo(), 1)
    assert ssim(grey, grey.point(lambda value: 255 - value)) < 0.1


def test_one_window_is_the_formula():
    x = np.arange(64, dtype=np.uint8).reshape(8, 8)
    y = (x // 2 + 10).astype(np.uint8)
    assert ssim(Image.fromarray(x), Image.fromarray(y)) == pytest.approx(formula(x, y), abs=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (88, 88), (101, 67), (420, 312)])
def test_many_windows_are_the_mean_of_the_formula(size):
    one, other = (
        luma(photo(*size).filter(ImageFilter.GaussianBlur(radius)), 1) for radius in (0, 2)
    )
    scores = [formula(x, y) for x, y in zip(windows(one), windows(other))]
    assert len(scores) == (size[0] // 8) * (size[1] // 8)
    assert ssim(one, other) == pytest.approx(np.mean(scores), abs=1e-5)
    assert ssim(one, np.asarray(other)) == ssim(one, other)


def windows(image):
    pixels = np.asarray(image, dtype=np.float64)
    for top in range(0, image.height - 7, 8):
        for left in range(0, image.width - 7, 8):
            yield pixels[top : top + 8, left : left + 8]


def formula(x, y):
    c1, c2 = 6.5025, 58.5225
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return ((2 * x.mean() * y.mean() + c1) * (2 * covariance + c2)) / (
        (x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2)
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3)])
def test_what_is_smaller_than_a_window_is_compared_too(size):
    white, black = (Image.new("L", size, value) for value in (255, 0))
    assert ssim(white, white) == pytest.approx(1)
    assert ssim(white, np.asarray(black)) < 0.1


def test_less_quality_is_less_similar():
    scores = [
        similarity(photo(), encoded(photo(), "JPEG", quality=quality))
        for quality in (90, 60, 30, 10)
    ]
    assert scores == sorted(scores, reverse=True)
    assert 0.5 < scores[-1] < scores[0] < 1


def test_blur_is_seen():
    assert similarity(photo(), encoded(photo().filter(ImageFilter.GaussianBlur(3)), "PNG")) < 0.9


@pytest.mark.parametrize(
    "size, factor", [((100, 4000), 1), ((600, 500), 2), ((1024, 1024), 4), ((9000, 9000), 4)]
)
def test_the_shorter_side_is_reduced_to_about_256(size, factor):
    assert reduction(size) == factor


def test_a_reduced_decode_scores_as_the_full_one():
    image = photo(1000, 900)
    data = encoded(image, "JPEG", quality=50)
    with Image.open(io.BytesIO(data)) as decoded:
        full = ssim(luma(image, 4), luma(decoded.convert("RGB"), 4))
    assert similarity(image, data) == pytest.approx(full, abs=0.002)


def test_what_is_clear_does_not_count():
    image = cutout()
    noise = Image.composite(
        image,
        Image.effect_noise(image.size, 90).convert("RGBA"),
        image.getchannel("A").point(lambda value: 255 if value else 0),
    )
    noise.putalpha(image.getchannel("A"))
    assert similarity(image, encoded(noise, "PNG")) > 0.99
