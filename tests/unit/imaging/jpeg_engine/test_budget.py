"""The search for a budget, and the scale of qualities."""

import pytest

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.jpeg_engine.library import inspect, requantise
from imgcompress.imaging.jpeg_engine.recompress import FINEST, quality_of, step_of

from ..ssim import similarity
from .sources import CODINGS, SAMPLINGS, pixels, source
from tests.support.images import SAMPLES, encoded, opened, photo

COARSEST = 3000.0
USUAL = 3688  # What libjpeg's table for quality 50 sums up to.


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.7])
def test_a_budget_is_kept_and_spent(sampling, coding, share):
    data = source((640, 480), sampling, coding)
    budget = int(len(data) * share)
    made = requantise(data, COARSEST, budget)
    assert made.lossless or 0.985 * budget <= len(made.data)
    assert len(made.data) <= budget
    assert pixels(made.data).shape == pixels(data).shape


@pytest.mark.parametrize("name", ["hubble_deep_field.jpg", "retina.jpg"])
@pytest.mark.parametrize("quality", [75, 85, 95])
def test_a_large_photo_needs_few_passes(name, quality):
    data = encoded(opened((SAMPLES / name).read_bytes()), "JPEG", quality=quality)
    made = requantise(data, COARSEST, len(data) // 2)
    assert 0.985 <= len(made.data) / (len(data) // 2) <= 1
    assert made.passes[0] <= 20 and made.passes[1] <= 4


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("coding", CODINGS)
def test_the_smallest_images_keep_every_budget_that_can_be_kept(sampling, coding):
    for size in ((7, 9), (17, 33)):
        data = source(size, sampling, coding)
        for budget in range(150, len(data), 13):
            made = requantise(data, COARSEST, budget)
            assert len(made.data) <= budget or made.step == COARSEST


def test_a_budget_that_cannot_be_kept_ends_at_the_coarsest_step():
    data = source((301, 203), "4:2:0")
    made = requantise(data, 50.0, 1000)
    assert made.step == 50.0
    assert made.data == requantise(data, 50.0).data


def test_a_budget_above_the_source_loses_nothing():
    data = source((301, 203), "4:2:0")
    made = requantise(data, COARSEST, 2 * len(data))
    assert made.lossless and len(made.data) < len(data)


@pytest.mark.parametrize("quality", range(1, 96))
def test_a_quality_has_a_step_that_gives_it_back(quality):
    assert quality_of(step_of(quality, 1), 1) == quality
    if quality > 1:
        assert step_of(quality, 1) < step_of(quality - 1, 1)


def test_no_result_claims_a_higher_quality_than_its_source():
    data = encoded(photo(600, 400), "JPEG", quality=60)
    result = compress(data, CompressOptions(compression_percentage=15))
    assert result.outcome == "target_met" and result.quality <= 60


@pytest.mark.parametrize("quality, kept", [(49, False), (50, True), (90, True)])
def test_a_source_of_less_quality_stays_as_it_is(quality, kept):
    assert (step_of(quality, USUAL) == FINEST) == kept


def test_a_result_that_keeps_every_step_is_of_the_quality_of_its_source():
    for quality in range(25, 96):
        luma_sum = inspect(encoded(photo(16, 16), "JPEG", quality=quality)).luma_sum
        assert quality_of(step_of(quality, luma_sum), luma_sum) == quality


@pytest.mark.parametrize("quality", [30, 50, 70])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0"])
def test_a_quality_looks_as_it_does_by_way_of_pixels(quality, sampling):
    data = source((640, 480), sampling, quality=92)
    ours = compress(data, CompressOptions(quality=quality))
    theirs = compress(data, CompressOptions(quality=quality, jpeg_engine=False))
    assert (ours.jpeg_engine, theirs.jpeg_engine) == ("used", None)
    assert ours.quality == theirs.quality == quality
    assert len(ours.data) < (1.02 if sampling == "4:4:4" else 0.9) * len(theirs.data)
    likeness = [similarity(opened(data), result.data) for result in (ours, theirs)]
    assert likeness[0] == pytest.approx(likeness[1], abs=0.035)


def test_half_the_bytes_look_better_than_by_way_of_pixels():
    data = encoded(photo(1100, 900), "JPEG", quality=90)
    ours = compress(data, CompressOptions())
    theirs = compress(data, CompressOptions(jpeg_engine=False))
    assert ours.outcome == theirs.outcome == "target_met"
    assert similarity(opened(data), ours.data) > similarity(opened(data), theirs.data)


def test_low_effort_takes_fixed_codes_where_they_make_a_smaller_file():
    data = source((640, 480), "4:2:0", quality=92)
    usual, low = (compress(data, CompressOptions(quality=50, effort=e)) for e in ("medium", "low"))
    assert low.jpeg_engine == "used" and low.quality == usual.quality == 50
    assert len(usual.data) < len(low.data) < 1.1 * len(usual.data)
    # Of so small a file, the fixed codes alone are larger than what they save.
    small = source((17, 33), "4:2:0", "optimised", quality=60)
    result = compress(small, CompressOptions(quality=55, effort="low"))
    assert result.jpeg_engine == "used" and len(result.data) < len(small)
