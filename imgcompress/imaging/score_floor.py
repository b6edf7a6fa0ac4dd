"""A floor for the score: the fewest bytes at which an image still reaches it, in any format.

The search for the target runs without a floor first. Only where its result scores too low, higher
qualities are encoded and scored, until one is just good enough.
"""

from __future__ import annotations

import math
from dataclasses import replace

from .auto_format import BYTES_PER_POINT
from .decode import Picture
from .encoders import CURVES, SHRINK, png
from .encoders.avif import on_avif_scale
from .encoders.common import COLOURS, EncodeTarget
from .probe import Source
from .score import lowest_quality, score
from .search import Attempt, Curve, Range, lowest_passing

# The highest quality that is used.
CEILING = 95
# Points of the score for twice the colours, of the sample photos; the search corrects it.
_POINTS_PER_DOUBLING = 6.0
# Where a search for a number of colours begins.
_USUAL_COLOURS = 48


def shrink_above_score(
    picture: Picture, source: Source, format: str, goal: EncodeTarget, least: int
) -> Attempt:
    """Return the image within the budget if it scores `least` there, else at the floor.

    If no quality of the format scores that much, the highest one is used; a PNG is then lossless.
    """
    attempt = SHRINK[format](picture, source, replace(goal, floor=1))
    attempt = replace(attempt, score=score(picture.first, attempt.data))
    if (attempt.score or 0) >= least:
        return attempt

    def encode(easier: EncodeTarget) -> bytes:
        return SHRINK[format](picture, source, easier).data

    def looks(data: bytes) -> float:
        return score(picture.first, data)

    if curve := CURVES.get(format):
        usual = lowest_quality(least)
        floor = (attempt.quality or 0) + 1
        return lowest_passing(
            lambda quality: encode(replace(goal, quality=quality)),
            looks,
            least,
            Curve(curve.position, curve.slope / BYTES_PER_POINT),
            Range(floor, CEILING, on_avif_scale(usual) if format == "avif" else usual),
        )
    # A palette has no quality, but a number of colours, and at last all of them diffused.
    numbers = COLOURS[::-1]
    rungs = [replace(goal, colours=colours) for colours in numbers]
    rungs.append(replace(goal, quality=CEILING))
    found = lowest_passing(
        lambda rung: encode(rungs[rung]),
        looks,
        least,
        Curve(lambda rung: math.log2((*numbers, 2 * numbers[-1])[rung]), _POINTS_PER_DOUBLING),
        Range(0, len(rungs) - 1, start=numbers.index(_USUAL_COLOURS)),
    )
    if format == "png" and (found.score or 0) < least:
        return png.lossless(picture, picture.frames, goal)
    return replace(found, quality=None)
