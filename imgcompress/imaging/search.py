"""Find the highest quality that fits a budget of bytes, or the lowest with a score, in few encodes.

The logarithm of an encoding's size is nearly linear in a function of the quality that each format
has (its `Curve`). One encode gives the level of that line for this image, two give its slope as
well; each next quality is read from the line and corrected by what the encoder then returns. A
blind bisection needs 6.6 encodes for the same answer (docs/compression.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# Encodes per image if one is cheap, and if not. One more is spent only if none of these came near
# the budget from below, by using FAR of it.
MAX_ENCODES = 5
FEW_ENCODES = 4
FAR = 0.85
# An encoding this close below the budget is accepted: the next point of quality would not fit.
CLOSE_ENOUGH = 0.99
# The share of the budget that a guess aims at: the middle of what is taken at first, a safe
# distance from the budget for the last encode.
AIM = 0.995
LAST_AIM = 0.98
# Two encodes close to each other may show a far too flat or steep line, because requantising
# moves in jumps; their slope is trusted up to this factor from the usual one.
STEEPNESS = 1.6
# A score this close above the wanted one is accepted: hardly any bytes could be saved.
CLOSE_SCORE = 1.0


@dataclass(frozen=True)
class Curve:
    """How a value follows quality: log(bytes), or the score, = level + slope x position(quality)."""

    position: Callable[[int], float]
    slope: float


@dataclass(frozen=True)
class Range:
    """The qualities that a search may use, both ends included, and the one it starts from."""

    floor: int
    ceiling: int
    start: int


@dataclass(frozen=True)
class Attempt:
    """One encoding: its bytes, the quality that made it, and its score where it is known.

    The quality is None without losses and with a palette.
    """

    data: bytes
    quality: int | None
    score: float | None = None

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return len(self.data)


def highest_quality(
    encode: Callable[[int], bytes],
    budget: int,
    curve: Curve,
    qualities: Range,
    encodes: int = MAX_ENCODES,
) -> Attempt:
    """Return the best encoding of at most `budget` bytes, or the floor's if none fits.

    About `encodes` are made at most.
    """
    low, high = qualities.floor, max(qualities.floor, qualities.ceiling)
    quality = min(max(qualities.start, low), high)
    sizes: dict[int, int] = {}
    best: Attempt | None = None
    while True:
        attempt = Attempt(encode(quality), quality)
        sizes[quality] = attempt.size
        if attempt.size <= budget:
            best, low = attempt, quality + 1
        else:
            high = quality - 1
        last = encodes if best and best.size >= FAR * budget else encodes + 1
        if low > high or best and (len(sizes) >= last or best.size >= CLOSE_ENOUGH * budget):
            return best or attempt
        aim = LAST_AIM if len(sizes) >= encodes - 1 else AIM
        logs = {quality: math.log(size) for quality, size in sizes.items()}
        # Between one that fits and one that does not, if there are both.
        around = [q for q in (low - 1, high + 1) if q in logs]
        nearest = {q: logs[q] for q in around} if len(around) == 2 else logs
        wanted = _position(nearest, math.log(budget * aim), curve, clamped=len(around) < 2)
        fitting = [q for q in range(low, high + 1) if curve.position(q) <= wanted]
        quality = fitting[-1] if fitting else low


def lowest_passing(
    encode: Callable[[int], bytes],
    score: Callable[[bytes], float],
    least: float,
    curve: Curve,
    qualities: Range,
    encodes: int = MAX_ENCODES,
) -> Attempt:
    """Return the smallest encoding whose score is at least `least`, or the ceiling's if none is.

    About `encodes` are made at most, each of which is scored.
    """
    low, high = qualities.floor, max(qualities.floor, qualities.ceiling)
    quality = min(max(qualities.start, low), high)
    scores: dict[int, float] = {}
    best: Attempt | None = None
    while True:
        data = encode(quality)
        scores[quality] = score(data)
        attempt = Attempt(data, quality, scores[quality])
        if scores[quality] >= least:
            best, high = attempt, quality - 1
        else:
            low = quality + 1
        is_close = least <= scores[quality] <= least + CLOSE_SCORE
        if low > high or is_close or best and len(scores) >= encodes:
            return best or attempt
        # Between one that fails and one that passes, if there are both.
        around = [q for q in (low - 1, high + 1) if q in scores]
        nearest = {q: scores[q] for q in around} if len(around) == 2 else scores
        wanted = _position(nearest, least + CLOSE_SCORE / 2, curve, clamped=len(around) < 2)
        passing = (q for q in range(low, high) if curve.position(q) >= wanted)
        quality = high if len(scores) >= encodes else next(passing, high)


def _position(
    values: dict[int, float], target: float, curve: Curve, *, clamped: bool = True
) -> float:
    """Return the position where the line through the values nearest to `target` meets it."""
    points = sorted(
        (abs(value - target), curve.position(quality), value) for quality, value in values.items()
    )
    _, position, value = points[0]
    return position + (target - value) / _slope(points, curve.slope, clamped=clamped)


def _slope(points: list[tuple[float, float, float]], known: float, *, clamped: bool) -> float:
    """Return the slope measured between two encodes, if `clamped` within STEEPNESS of the usual."""
    if len(points) < 2 or points[0][1] == points[1][1]:
        return known
    measured = (points[0][2] - points[1][2]) / (points[0][1] - points[1][1])
    return min(max(measured, known / STEEPNESS), known * STEEPNESS) if clamped else measured
