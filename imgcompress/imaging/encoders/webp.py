"""WebP, still and animated, lossy; with alpha where the picture has it."""

from __future__ import annotations

from typing import Any

from ..decode import Picture
from ..probe import Source
from ..search import Attempt, Curve, Range, highest_quality
from .common import EncodeTarget, saved
from .jpeg import expected_quality

CEILING = 95
MAX_SIDE = 16_383
# Method 3 gives the bytes of 4, Pillow's default, within 1 % in the same time; 2 is 40 % faster and
# 7 % larger, 6 about twice as slow.
METHODS = {"low": 2, "medium": 3, "high": 6}
SMALLEST_METHOD = 6
# Bytes of a WebP over those of a JPEG with the same quality number, which also looks the same: at
# the SSIM of JPEG 30, 50, 75 and 85 WebP was at 34, 52, 79 and 85 (medians of five sample photos).
SHARE_OF_JPEG = 0.7
# Where the source's own bytes say nothing about its quality.
USUAL_START = 60


def position(quality: int) -> float:
    """Return libwebp's linear scale of quality (QualityToCompression), 0 to 1."""
    share = quality / 100
    return share * 2 / 3 if share < 0.75 else 2 * share - 1


CURVE = Curve(position, slope=2.2)


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best WebP within the goal."""
    if goal.quality:
        return Attempt(encoded(picture, goal, goal.quality), goal.quality)
    start = (
        expected_quality(goal.budget / SHARE_OF_JPEG, picture, source)
        if source.format != "webp"
        else USUAL_START
    )
    return highest_quality(
        lambda quality: encoded(picture, goal, quality),
        goal.budget,
        CURVE,
        Range(goal.floor, CEILING, start),
    )


def encoded(picture: Picture, goal: EncodeTarget, quality: int) -> bytes:
    """Return the picture as a WebP of this quality."""
    return saved(
        picture.first,
        "WEBP",
        quality=quality,
        method=SMALLEST_METHOD if goal.smallest else METHODS[goal.effort],
        **_animation(picture),
    )


def lossless(picture: Picture, goal: EncodeTarget) -> Attempt:
    """Return the same pixels as a WebP; colours that are clear may change."""
    method = METHODS[goal.effort]
    data = saved(picture.first, "WEBP", lossless=True, method=method, **_animation(picture))
    return Attempt(data, None)


def _animation(picture: Picture) -> dict[str, Any]:
    if not picture.animated:
        return {}
    return {
        "save_all": True,
        "append_images": picture.frames[1:],
        "duration": list(picture.durations),
        "loop": 1 if picture.loop is None else picture.loop,
    }
