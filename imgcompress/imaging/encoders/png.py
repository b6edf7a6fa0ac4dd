"""PNG: lossless where that reaches the target, else a palette of as many colours as fit.

oxipng, where it is installed, makes the file that is stored smaller than Pillow does, by other
filters and a better Deflate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

from PIL import Image

from ..decode import Picture
from ..errors import memory_left
from ..probe import Source
from ..search import Attempt
from .common import DITHER, EncodeTarget, most_colours, saved, stack_frames
from .quantiser import MAX_COLOURS, Quantiser, exactly_indexed

MAX_SIDE = 2**31 - 1
# A lossless encoding is made only if a sample of the rows says that it comes this near the budget.
PROSPECT = 1.1
SAMPLE_SHARE = 8
SAMPLE_BANDS = 4
_SAMPLED_FROM_PIXELS = 100_000
WORTH_LOSSES = 0.85
# oxipng's better levels need at least these shares of what a sample lets expect at level 1, of a
# palette image and of others.
SURE_INDEXED, SURE = 0.8, 0.93
# Bytes that oxipng is expected to save of a palette image.
OXIPNG_SAVES = 1.06

# With more of its 256 greys a grey image is as large as it is without losses.
MOST_GREYS = 128

# oxipng's levels for what has lost colours, and for what is lossless; None is Pillow alone. Level 1
# takes 150 ms per megapixel, level 2 twice to three times as long and saves 1 to 10 % more.
LEVELS: dict[str, tuple[int | None, int]] = {"low": (None, 1), "medium": (1, 2), "high": (2, 4)}
# Images of more pixels get level 1, and of many more none: oxipng cannot be interrupted, and ends
# the process if it gets no memory.
_LEVEL_1_FROM = 8_000_000
_LEVEL_0_FROM = 24_000_000
_BYTES_PER_PIXEL = 24
_SECONDS = 10.0


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best PNG within the goal."""
    frames = picture.frames
    pixels = sum(frame.width * frame.height for frame in frames)
    lossy_level = LEVELS["high" if goal.smallest else goal.effort][0]

    def encode(images: list[Image.Image]) -> bytes:
        return saved(images[0], "PNG", **_animation(picture, images))

    exact = exactly_indexed(frames)
    expected = expected_lossless(exact or frames)
    best = None
    if expected <= goal.budget * PROSPECT and (exact or not goal.quality):
        best = lossless(picture, exact or frames, goal)
        if best.size <= goal.budget:
            return best
    always = goal.smallest or goal.effort == "high"
    lossy = _lossy(picture, goal, encode, lossy_level, pixels, always=always)
    if goal.quality and not exact:
        return lossy
    # A file that misses the target must save enough of the lossless bytes to be worth its losses.
    worth = 1.0 if lossy.size <= goal.budget or goal.smallest else WORTH_LOSSES
    if not best and lossy.size > expected * worth * (SURE_INDEXED if exact else SURE):
        best = lossless(picture, exact or frames, goal)
    return best if best and best.size * worth <= lossy.size else lossy


def lossless(picture: Picture, images: Sequence[Image.Image], goal: EncodeTarget) -> Attempt:
    """Return these frames of the picture, which may have a palette, without losses."""
    quick = {"compress_level": 1} if optimiser() else {}
    level = LEVELS["high" if goal.smallest else goal.effort][1]
    data = saved(images[0], "PNG", **quick, **_animation(picture, images))
    return Attempt(optimised(data, level, sum(i.width * i.height for i in images)), None)


def _lossy(
    picture: Picture,
    goal: EncodeTarget,
    encode: Callable[[list[Image.Image]], bytes],
    level: int | None,
    pixels: int,
    *,
    always: bool,
) -> Attempt:
    """Return the best-looking palette image that fits.

    oxipng makes it smaller where that is needed to fit, or `always`.
    """
    frames = picture.frames
    quantiser = Quantiser(frames)
    tried: dict[tuple[int, float], bytes] = {}

    def reduced(colours: int, dither: float) -> bytes:
        if (colours, dither) not in tried:
            tried[colours, dither] = encode(quantiser.mapped(colours, dither))
        return tried[colours, dither]

    # What does not move may not flicker from frame to frame.
    dither = 0.0 if picture.animated else DITHER
    most = MOST_GREYS if frames[0].mode == "L" else MAX_COLOURS
    easier = goal
    if level and optimiser():
        easier = replace(goal, budget=int(goal.budget * OXIPNG_SAVES))
    for target in (easier, goal):
        best = most_colours(reduced, quantiser.error, target, dither, most)
        if best.size <= goal.budget and not always:
            break
        smaller = Attempt(optimised(best.data, level, pixels), None)
        if smaller.size <= goal.budget or best.size > target.budget:
            return smaller
    return best


def optimised(data: bytes, level: int | None, pixels: int) -> bytes:
    """Return the same PNG, or a smaller one that oxipng makes of it."""
    oxipng = optimiser()
    if oxipng is None or level is None or pixels > _LEVEL_0_FROM:
        return data
    room = memory_left()
    if room is not None and room < pixels * _BYTES_PER_PIXEL:
        return data
    try:
        smaller: bytes = oxipng.optimize_from_memory(
            data,
            level=min(level, 1) if pixels > _LEVEL_1_FROM else level,
            optimize_alpha=True,
            timeout=_SECONDS,
        )
    except oxipng.PngError:
        return data
    except BaseException as error:
        # A panic of its Rust code, which libdeflate causes where it gets no memory. Its class derives
        # from BaseException, and no module offers it.
        if type(error).__name__ != "PanicException":
            raise
        return data
    return min(data, smaller, key=len)


@cache
def optimiser() -> Any:
    """Return the module oxipng with one thread, because each core has a worker; None without it."""
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    try:
        return import_module("oxipng")
    except ImportError:
        return None


def expected_lossless(frames: Sequence[Image.Image]) -> float:
    """Return about how many bytes a lossless PNG has, from a share of its pixels.

    They are bands of rows over the whole height or, of an animation, some of its frames.
    """
    pixels = sum(frame.width * frame.height for frame in frames)
    if pixels <= _SAMPLED_FROM_PIXELS:
        return 0
    sample = _rows_of(frames[0]) if len(frames) == 1 else stack_frames(frames[::SAMPLE_SHARE])
    sampled = sample.width * sample.height
    return len(optimised(saved(sample, "PNG", compress_level=3), 1, sampled)) * pixels / sampled


def _rows_of(image: Image.Image) -> Image.Image:
    rows = max(1, image.height // (SAMPLE_SHARE * SAMPLE_BANDS))
    sample = Image.new(image.mode, (image.width, rows * SAMPLE_BANDS))
    if image.mode == "P":
        sample.putpalette(image.getpalette("RGBA") or [], "RGBA")
    for band in range(SAMPLE_BANDS):
        top = image.height * band // SAMPLE_BANDS
        sample.paste(image.crop((0, top, image.width, top + rows)), (0, band * rows))
    return sample


def _animation(picture: Picture, frames: Sequence[Image.Image]) -> dict[str, Any]:
    if not picture.animated:
        return {}
    return {
        "save_all": True,
        "append_images": frames[1:],
        "duration": list(picture.durations),
        "loop": 1 if picture.loop is None else picture.loop,
        "default_image": False,
    }
