"""The engine's steps on the scale of qualities that callers know."""

from __future__ import annotations

import math

# The step, in per cent of the engine's table, that makes a JPEG look as one that was made of its
# pixels by Annex K's tables at 100 per cent. By SSIMULACRA2 it is about 0.60, at every quality
# (docs/jpeg-engine.md); this is slightly less.
FACTOR = 0.58
# At this step and below every step of quantisation stays the source's.
FINEST = 0.4
# The sum of the luminance table of ITU-T T.81, annex K, which quality 50 uses as it is.
_STANDARD_LUMA_SUM = 3688


def step_of(quality: int, luma_sum: int) -> float:
    """Return the step whose result looks as a JPEG of this quality, 1 to 95, made of pixels.

    A source of that quality or less by its own luminance table is to stay as it is.
    """
    if quality >= _source_quality(luma_sum):
        return FINEST
    return FACTOR * (5000 / quality if quality < 50 else 200.0 - 2 * quality)


def quality_of(step: float, luma_sum: int) -> int:
    """Return the highest quality that a result of this step looks as good as; the source's at most."""
    # A step that was made of a quality has to give that one back.
    of_step = math.floor(_quality(step / FACTOR) + 1e-6)
    return min(95, max(1, min(of_step, _source_quality(luma_sum))))


def _source_quality(luma_sum: int) -> int:
    """Return the nearest quality: the steps of a table are rounded, and so is their sum."""
    return round(_quality(100 * luma_sum / _STANDARD_LUMA_SUM))


def _quality(percent: float) -> float:
    """Return what libjpeg would make so many per cent of annex K's tables of."""
    return 5000 / percent if percent > 100 else (200 - percent) / 2
