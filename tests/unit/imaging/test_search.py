"""The search for the highest quality, on encoders whose sizes are known."""

import math

import pytest

from imgcompress.imaging.encoders.jpeg import CURVE
from imgcompress.imaging.search import MAX_ENCODES, Range, highest_quality

pytestmark = pytest.mark.one_way

QUALITIES = Range(floor=30, ceiling=95, start=60)


class Encoder:
    """An encoder whose size follows the curve with a slope of its own; it counts its calls."""

    def __init__(self, slope: float, level: float) -> None:
        self.slope, self.level = slope, level
        self.tried: list[int] = []

    def size(self, quality: int) -> int:
        return round(math.exp(self.level + self.slope * CURVE.position(quality)))

    def __call__(self, quality: int) -> bytes:
        self.tried.append(quality)
        return bytes(self.size(quality))


@pytest.mark.parametrize("slope", [0.4, 0.59, 0.8])
@pytest.mark.parametrize("budget", [30_000, 40_000, 60_000])
def test_it_finds_a_quality_near_the_best_in_few_encodes(slope, budget):
    encoder = Encoder(slope, level=math.log(40_000) - slope * CURVE.position(60))
    best = max(quality for quality in range(30, 96) if encoder.size(quality) <= budget)
    found = highest_quality(encoder, budget, CURVE, QUALITIES)
    assert found.size <= budget
    assert len(encoder.tried) <= MAX_ENCODES
    assert best - 1 <= found.quality <= best


def test_it_stops_at_the_first_encode_that_is_close_enough():
    encoder = Encoder(0.59, level=math.log(39_500) - 0.59 * CURVE.position(60))
    assert highest_quality(encoder, 40_000, CURVE, QUALITIES).quality == 60
    assert encoder.tried == [60]


def test_it_gives_the_floor_where_nothing_fits():
    encoder = Encoder(0.59, level=20)
    found = highest_quality(encoder, 1000, CURVE, QUALITIES)
    assert found.quality == 30
    assert found.size > 1000


def test_it_gives_the_ceiling_where_everything_fits():
    encoder = Encoder(0.59, level=6)
    assert highest_quality(encoder, 1000, CURVE, QUALITIES).quality == 95


@pytest.mark.parametrize("slope", [0.01, 5.0])
def test_a_curve_that_is_nothing_like_the_model_still_ends_within_the_budget(slope):
    encoder = Encoder(slope, level=math.log(60_000) - slope * CURVE.position(60))
    fits = [quality for quality in range(30, 96) if encoder.size(quality) <= 59_000]
    found = highest_quality(encoder, 59_000, CURVE, QUALITIES)
    assert found.size <= 59_000 if fits else found.quality == 30
