"""The search for the highest quality, on encoders whose sizes are known."""

import math

import pytest

from imgcompress.imaging.encoders.jpeg import CURVE
from imgcompress.imaging.search import (
    FEW_ENCODES,
    MAX_ENCODES,
    Curve,
    Range,
    highest_quality,
    lowest_passing,
)

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
    encoder = Encoder(0.59, level=math.log(39_700) - 0.59 * CURVE.position(60))
    assert highest_quality(encoder, 40_000, CURVE, QUALITIES).quality == 60
    assert encoder.tried == [60]


@pytest.mark.parametrize("steep", [0.06, 0.09, 0.12])
@pytest.mark.parametrize("start", [40, 50, 70])
def test_a_size_that_rises_steeply_near_the_budget_is_found(steep, start):
    """As that of an AVIF, whose qualities share their bytes by twos."""

    def encode(quality):
        step = quality // 2 * 2 - 60
        return bytes(round(40_000 * math.exp(step * (steep if step > -10 else 0.03))))

    curve = Curve(position=float, slope=0.042)
    found = highest_quality(encode, 40_000, curve, Range(30, 95, start), encodes=FEW_ENCODES)
    assert 58 <= found.quality <= 61 and found.size <= 40_000


def test_the_floor_is_returned_if_nothing_fits():
    encoder = Encoder(0.59, level=20)
    found = highest_quality(encoder, 1000, CURVE, QUALITIES)
    assert found.quality == 30
    assert found.size > 1000


def test_the_ceiling_is_returned_if_everything_fits():
    encoder = Encoder(0.59, level=6)
    assert highest_quality(encoder, 1000, CURVE, QUALITIES).quality == 95


@pytest.mark.parametrize("slope", [0.01, 5.0])
def test_a_curve_that_is_nothing_like_the_model_still_ends_within_the_budget(slope):
    encoder = Encoder(slope, level=math.log(60_000) - slope * CURVE.position(60))
    fits = [quality for quality in range(30, 96) if encoder.size(quality) <= 59_000]
    found = highest_quality(encoder, 59_000, CURVE, QUALITIES)
    assert found.size <= 59_000 if fits else found.quality == 30


class Scorer:
    """An encoder whose score follows the curve with a slope and a level of its own."""

    def __init__(self, slope: float, level: float) -> None:
        self.slope, self.level = slope, level
        self.tried: list[int] = []

    def score(self, data: bytes) -> float:
        return self.level + self.slope * CURVE.position(len(data))

    def __call__(self, quality: int) -> bytes:
        self.tried.append(quality)
        return bytes(quality)


BY_SCORE = Curve(CURVE.position, slope=13.4)
ALL = Range(floor=1, ceiling=95, start=60)


@pytest.mark.parametrize("slope", [9, 13.4, 19])
@pytest.mark.parametrize("least", [50, 70, 85])
def test_the_lowest_quality_with_a_score_is_found_in_few_encodes(slope, least):
    encoder = Scorer(slope, level=75 - slope * CURVE.position(60))
    best = min(quality for quality in range(1, 96) if encoder.score(bytes(quality)) >= least)
    found = lowest_passing(encoder, encoder.score, least, BY_SCORE, ALL)
    assert found.score >= least
    assert len(encoder.tried) <= MAX_ENCODES
    assert best <= found.quality <= best + 3


def test_the_ceiling_is_returned_where_no_quality_has_the_score():
    encoder = Scorer(13.4, level=0)
    assert lowest_passing(encoder, encoder.score, 95, BY_SCORE, ALL).quality == 95
    assert len(encoder.tried) <= MAX_ENCODES + 1


def test_the_floor_is_returned_where_every_quality_has_the_score():
    encoder = Scorer(13.4, level=200)
    assert lowest_passing(encoder, encoder.score, 70, BY_SCORE, ALL).quality == 1
