"""`min_score`: a lowest score in place of a lowest quality."""

from dataclasses import replace

import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.score import score

from tests.support.images import animated, cutout, drawing, encoded, frames, opened, photo

# Less than any format gets at these scores, so that the floor decides.
TIGHT = CompressOptions(compression_percentage=95)
FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", "GIF"]


def source(format, image=None):
    settings = {"quality": 92} if format in ("JPEG", "WEBP", "AVIF") else {}
    return encoded(image or photo(), format, **settings)


@pytest.mark.parametrize("least", [50, 75])
@pytest.mark.parametrize("format", FORMATS)
def test_no_image_scores_less(format, least):
    data = source(format)
    made = compress(data, replace(TIGHT, min_score=least))
    assert made.outcome == "floor_reached"
    assert made.score >= least
    # Decoders differ in how they draw the chroma of a JPEG source.
    assert score(opened(data).convert("RGB"), made.data) == pytest.approx(made.score, abs=6)
    assert len(made.data) < len(data)


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_palette_has_no_more_colours_than_the_score_needs(format):
    sizes = []
    for least in (45, 60, 75):
        made = compress(source(format, cutout()), replace(TIGHT, min_score=least))
        assert least <= made.score < least + 10
        sizes.append(len(made.data))
    assert sizes == sorted(sizes) and sizes[0] < 0.75 * sizes[2]


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_no_more_bytes_are_spent_than_the_score_needs(format):
    sizes = []
    for least in (45, 60, 75):
        made = compress(source(format), replace(TIGHT, min_score=least))
        assert made.score < least + (15 if format == "AVIF" else 5)
        sizes.append(len(made.data))
    assert sizes == sorted(sizes) and sizes[0] < 0.75 * sizes[2]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_target_that_is_met_above_the_floor_is_met_as_without_it(format):
    data = source(format)
    made, plain = (compress(data, CompressOptions(min_score=least)) for least in (25, None))
    assert made.outcome == plain.outcome == "target_met"
    assert len(made.data) == pytest.approx(len(plain.data), rel=0.02)


def test_it_takes_the_place_of_the_floor_of_quality():
    made = compress(source("JPEG"), replace(TIGHT, min_quality=85, min_score=50))
    assert made.quality < 85 and made.score >= 50


def test_it_has_no_effect_with_a_fixed_quality():
    data = source("JPEG")
    made, plain = (
        compress(data, CompressOptions(quality=20, min_score=least)) for least in (90, None)
    )
    assert made.data == plain.data


@pytest.mark.parametrize("formats", [None, "jpeg,webp", "avif,png"])
@pytest.mark.parametrize("image", [photo(), cutout(), drawing()])
def test_the_format_that_pays_keeps_to_it(formats, image):
    options = replace(TIGHT, min_score=80, format="auto", formats=formats)
    made = compress(source("PNG", image), options)
    assert made.score >= 80


@pytest.mark.parametrize("format", ["png", "webp", "avif"])
def test_alpha_is_scored_as_well(format):
    made = compress(source("PNG", cutout()), replace(TIGHT, min_score=75, format=format))
    assert made.score >= 75


def test_the_first_frame_of_an_animation_is_scored():
    made = compress(animated("WEBP", frames(), quality=92), replace(TIGHT, min_score=80))
    assert made.score >= 80 and opened(made.data).n_frames == 6


@pytest.mark.parametrize("engine", [True, False])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_turned_jpeg_is_scored_upright(engine, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(photo(320, 240), "JPEG", quality=92, exif=tags)
    made = compress(data, replace(TIGHT, min_score=70, jpeg_engine=engine))
    assert 70 <= made.score < 76
    assert made.outcome == "floor_reached"


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_a_source_that_is_worse_keeps_its_pixels(format):
    data = encoded(photo(), format, quality=10)
    made = compress(data, CompressOptions(min_score=95))
    assert made.outcome == "already_small" and made.score == 100
    assert len(made.data) <= len(data)


def test_a_png_that_needs_all_its_colours_has_no_losses():
    made = compress(source("PNG"), replace(TIGHT, min_score=95))
    assert made.score == 100 and made.outcome == "floor_reached"
