"""Find the highest quality whose encoding fits a budget of bytes, in few encodes.

The logarithm of an encoding's size is nearly linear in a function of the quality that each format
has (its `Curve`). One encode gives the level of that line for this image, two give its slope as
well; each next quality is read from the line and corrected by what the encoder then says. A blind
bisection needs 6.6 encodes for the same answer (docs/compression.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

# Encodes per image where one is cheap, and where it is not. One more is spent only where none of
# these fitted the budget.
MAX_ENCODES = 5
FEW_ENCODES = 3
# An encoding this close below the budget is taken: the next point of quality would not fit.
CLOSE_ENOUGH = 0.98
# The share of the budget that a guess aims at: the middle of what is taken at first, a safe
# distance from the budget for the last encode.
AIM = 0.99
LAST_AIM = 0.96
# Two encodes close to each other may show a far too flat or steep line, because requantising
# moves in jumps; their slope is believed up to this factor from the usual one.
STEEPNESS = 1.6


@dataclass(frozen=True)
class Curve:
    """How size follows quality: log(bytes) = level + slope x position(quality)."""

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
    """One encoding: its bytes and the quality that made it (None: lossless or a palette)."""

    data: bytes
    quality: int | None

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
    """Return the best encoding of at most `budget` bytes, or the floor's where none fits.

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
        if low > high or best and (len(sizes) >= encodes or best.size >= CLOSE_ENOUGH * budget):
            return best or attempt
        aim = LAST_AIM if len(sizes) >= encodes - 1 else AIM
        quality = _guess(sizes, math.log(budget * aim), curve, low, high)


def _guess(sizes: dict[int, int], target: float, curve: Curve, low: int, high: int) -> int:
    """Return the quality in low..high where the line through the nearest sizes meets `target`."""
    points = sorted(
        (abs(math.log(size) - target), curve.position(quality), math.log(size))
        for quality, size in sizes.items()
    )
    _, position, level = points[0]
    slope = _slope(points, curve.slope)
    wanted = position + (target - level) / slope
    fitting = [quality for quality in range(low, high + 1) if curve.position(quality) <= wanted]
    return fitting[-1] if fitting else low


def _slope(points: list[tuple[float, float, float]], known: float) -> float:
    """Return the slope measured between two encodes, held within STEEPNESS of the usual one."""
    if len(points) < 2 or points[0][1] == points[1][1]:
        return known
    measured = (points[0][2] - points[1][2]) / (points[0][1] - points[1][1])
    return min(max(measured, known / STEEPNESS), known * STEEPNESS)
