"""`format=auto`: the format that needs the fewest bytes for the same looks."""

import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress

from tests.support.images import (
    animated,
    cutout,
    difference,
    drawing,
    encoded,
    frames,
    on_white,
    opened,
    photo,
)

AUTO = CompressOptions(format="auto")


def of(formats, **options):
    return CompressOptions(format="auto", formats=formats, **options)


def test_a_photo_takes_fewer_bytes_than_as_a_png():
    data = encoded(photo(600, 400), "PNG")
    result, kept = compress(data, AUTO), compress(data, CompressOptions())
    assert result.format in ("webp", "avif")
    assert opened(result.data).format == result.format.upper()
    assert len(result.data) < len(kept.data)
    assert result.score > kept.score - 5


def test_a_photo_with_alpha_keeps_it():
    result = compress(encoded(cutout(600, 400), "PNG"), AUTO)
    assert result.format in ("webp", "avif")
    assert "A" in opened(result.data).getbands()
    assert difference(opened(result.data), cutout(600, 400)) < 4


@pytest.mark.parametrize("formats, expected", [(None, ("webp", "png")), ("jpeg,png", ("png",))])
def test_a_logo_stays_without_losses(formats, expected):
    logo = drawing()
    result = compress(encoded(logo, "BMP"), of(formats))
    assert result.format in expected
    assert result.quality is None
    assert difference(opened(result.data), logo) == 0


def test_a_jpeg_stays_one_where_others_save_little():
    data = encoded(photo(240, 160), "JPEG", quality=95)
    result = compress(data, of("jpeg,webp"))
    assert result.outcome == "target_met"
    assert len(result.data) <= len(data) // 2


@pytest.mark.parametrize("formats", ["jpeg,webp", "avif,png", "webp"])
def test_only_allowed_formats_are_chosen(formats):
    result = compress(encoded(photo(), "PNG"), of(formats))
    assert result.format in formats.split(",")


def test_alpha_is_put_on_white_where_only_jpeg_is_allowed():
    data = encoded(cutout(), "PNG")
    result, forced = compress(data, of("jpeg")), compress(data, CompressOptions(format="jpeg"))
    assert result == forced
    assert difference(opened(result.data), on_white(cutout())) < 8


def test_animations_become_webp_and_keep_moving():
    result = compress(animated("GIF", frames(), duration=50), of("jpeg,webp,avif"))
    assert result.format == "webp"
    assert opened(result.data).n_frames == 6


def test_nothing_becomes_larger():
    data = encoded(photo(), "AVIF", quality=15)
    result = compress(data, AUTO)
    assert len(result.data) <= len(data)


@pytest.mark.parametrize("image", [photo(), cutout(), drawing(), Image.new("L", (9, 3000), 40)])
def test_a_fixed_quality_is_kept_to(image):
    result = compress(encoded(image, "PNG"), CompressOptions(format="auto", quality=60))
    assert opened(result.data).size == image.size
    assert result.quality is None or 50 <= result.quality <= 60
