"""JPEG: the quality that fits, its first guess taken from the source's own quantisation."""

from __future__ import annotations

import math

from ..decode import Picture
from ..probe import Source
from ..search import Attempt, Curve, Range, highest_quality
from ..turbo import encoded
from .common import EncodeTarget, saved

CEILING = 95
MAX_SIDE = 65_500
# Bytes fall with the 0.59th power of the quantisation step: measured on the sample photos, where
# the exponent is 0.5 to 0.7 between quality 15 and 95.
EXPONENT = 0.59
# Bytes with full chroma over bytes at 4:2:0, and at 4:2:2 over 4:2:0: measured likewise.
CHROMA_COST = {0: 1.27, 1: 1.13, 2: 1.0}
# From this quality on, bytes are better spent on the source's sharper chroma than on more quality.
SHARP_CHROMA_QUALITY = 80
# Bytes per pixel of a photo at quality 75 and 4:2:0, for sources whose quantisation is unknown.
USUAL_BYTES = 0.16
USUAL_STEP = 50.0
# The share of the budget that the first guess aims at: sources of many makers were measured to need
# slightly more bytes than the model says.
FIRST_AIM = 0.95
# The sum of the luminance table of ITU-T T.81, annex K, which quality 50 uses as it is.
_STANDARD_LUMA_SUM = 3688


def step(quality: int) -> float:
    """Return libjpeg's scale of the quantisation tables, in per cent of those of annex K."""
    return 5000 / quality if quality < 50 else max(200.0 - 2 * quality, 1.0)


CURVE = Curve(position=lambda quality: -math.log(step(quality)), slope=EXPONENT)


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best JPEG within the goal; the picture has no alpha."""
    subsampling = _subsampling(picture, source, goal)

    def encode(quality: int) -> bytes:
        if picture.pixels is not None and not goal.smallest:
            return encoded(picture.pixels, quality, subsampling)
        return saved(
            picture.first,
            "JPEG",
            quality=quality,
            subsampling=subsampling,
            optimize=goal.smallest,
            progressive=goal.smallest,
        )

    if goal.quality:
        return Attempt(encode(goal.quality), goal.quality)
    start = expected_quality(goal.budget / CHROMA_COST[subsampling], picture, source)
    ceiling = min(CEILING, max(goal.floor, _source_quality(picture)))
    return highest_quality(encode, goal.budget, CURVE, Range(goal.floor, ceiling, start))


def expected_quality(budget: float, picture: Picture, source: Source) -> int:
    """Return the quality at which a JPEG at 4:2:0 is expected to have about `budget` bytes.

    A JPEG source gives the level of the curve by its own quantisation and size; otherwise the
    usual photo does.
    """
    size = max(1.0, FIRST_AIM * budget)
    return _quality_of_step(
        math.exp(min(20.0, (_level(picture, source) - math.log(size)) / EXPONENT))
    )


def _source_step(picture: Picture) -> float:
    if not picture.quantization:
        return USUAL_STEP
    return max(1.0, 100 * sum(picture.quantization[min(picture.quantization)]) / _STANDARD_LUMA_SUM)


def _source_quality(picture: Picture) -> int:
    """Return the quality of a JPEG source: more would spend bytes on its own losses."""
    if not picture.quantization:
        return CEILING
    return _quality_of_step(_source_step(picture)) + 1


def _level(picture: Picture, source: Source) -> float:
    """Return log(bytes) + EXPONENT x log(step) that is to be expected at 4:2:0."""
    share = picture.first.width * picture.first.height / picture.source_pixels
    if picture.quantization:
        chroma = CHROMA_COST.get(picture.subsampling, 1.0)
        size = source.pixel_bytes * share / chroma
    else:
        size = USUAL_BYTES * picture.first.width * picture.first.height
    return math.log(max(size, 1.0)) + EXPONENT * math.log(_source_step(picture))


def _quality_of_step(wanted: float) -> int:
    quality = 5000 / wanted if wanted > 100 else (200 - wanted) / 2
    return min(CEILING, max(1, int(quality)))


def _subsampling(picture: Picture, source: Source, goal: EncodeTarget) -> int:
    """Return 4:2:0 unless the source's chroma is sharper and a high quality leaves room for it."""
    if picture.subsampling not in (0, 1):
        return 2
    budget = goal.budget / CHROMA_COST[picture.subsampling]
    quality = goal.quality or expected_quality(budget, picture, source)
    return picture.subsampling if quality >= SHARP_CHROMA_QUALITY else 2
