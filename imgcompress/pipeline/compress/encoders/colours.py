"""Find the most colours whose encoding fits a budget, for the formats that have no quality."""

from __future__ import annotations

from collections.abc import Callable

from ..search import Attempt
from .goal import Goal

# The fewest colours that a quality on the JPEG scale allows.
LADDER = ((75, 256), (50, 128), (30, 64), (15, 32), (5, 16), (1, 2))
# Bytes with half the colours over bytes with all of them: 0.78 to 0.81 on the sample photos.
HALF_COLOURS = 0.78


def colours_of(quality: int) -> int:
    """Return the number of colours that stands for a quality on the JPEG scale."""
    return next(colours for least, colours in LADDER if quality >= least)


def most_colours(encode: Callable[[int], bytes], goal: Goal) -> Attempt:
    """Return the encoding with the most colours that fits the goal, or the smallest one tried.

    Each number of colours is half of the one before; those that have no prospect are left out.
    """
    if goal.quality:
        return Attempt(encode(colours_of(goal.quality)), None)
    fewest, colours = colours_of(goal.floor), 256
    best = Attempt(encode(colours), None)
    while best.size > goal.budget and colours > fewest:
        expected = best.size * HALF_COLOURS
        colours //= 2
        while colours > fewest and expected > goal.budget:
            expected *= HALF_COLOURS
            colours //= 2
        best = min(best, Attempt(encode(colours), None), key=lambda attempt: attempt.size)
    return best
