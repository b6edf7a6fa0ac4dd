"""What the encoders share: the target, the number of colours, output buffers, and stacked frames.

A colour then has the same index in every frame: what does not move stays the same, and costs
nothing.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image

from ..search import Attempt


@dataclass(frozen=True)
class EncodeTarget:
    """At most `budget` bytes at the best quality not under `floor`, or one fixed `quality`.

    Both qualities are on the JPEG scale, 1 to 95; `effort` is low, medium or high, and `smallest`
    allows the slowest settings.
    """

    budget: int
    floor: int
    quality: int | None = None
    effort: str = "medium"
    smallest: bool = False


# The fewest colours that a quality on the JPEG scale allows.
LADDER = ((75, 256), (50, 128), (30, 64), (15, 32), (5, 16), (1, 2))
# The numbers of colours that a search tries.
COLOURS = (256, 192, 128, 96, 64, 48, 32, 24, 16, 8, 4, 2)
# Bytes with half the colours over bytes with all of them.
HALF_COLOURS = 0.82
# How much of an error is diffused: all of it costs bytes and looks no better.
DITHER = 0.8
LESS_DITHER = 0.4
# Encodes with fewer colours than the most, and before any of them are diffused.
MAX_REDUCED = 4
# Where this many colours or fewer fit without diffusion, it is tried.
DIFFUSED_BELOW = 48
# The fewest colours that a picture may have that misses little with them, and the root mean square
# of levels that it may miss. At 5.5 SSIMULACRA2 was at 50 to 90, and at 2.5 at 80 to 95.
FEWEST = 8
ERRORS = {256: 2.5, 128: 4.0, 64: 5.5, 32: 8.0, 16: 12.0, 2: 255.0}


def colours_of(quality: int) -> int:
    """Return the number of colours that stands for a quality on the JPEG scale."""
    return next(colours for least, colours in LADDER if quality >= least)


def most_colours(
    encode: Callable[[int, float], bytes],
    error: Callable[[int], float],
    goal: EncodeTarget,
    dither: float,
    most: int = COLOURS[0],
) -> Attempt:
    """Return the encoding of the best looks that fits the goal, or the smallest one tried.

    `encode` is given a number of colours and how much of the errors is diffused; `error` returns
    how much so many colours miss. The most colours look best, and for the same bytes more of them
    look better than diffusion does, as long as they are many.
    """
    if goal.quality:
        return Attempt(encode(colours_of(goal.quality), dither), None)
    best = Attempt(encode(most, dither), None)
    if best.size <= goal.budget:
        return best
    diffused = best
    if dither:
        best = Attempt(encode(most, 0), None)
    if best.size > goal.budget:
        return _fewer_colours(encode, error, goal, best, dither, most)
    if dither and (diffused.size * best.size) ** 0.5 <= goal.budget:
        less = Attempt(encode(most, LESS_DITHER), None)
        best = less if less.size <= goal.budget else best
    return best


def _fewer_colours(
    encode: Callable[[int, float], bytes],
    error: Callable[[int], float],
    goal: EncodeTarget,
    best: Attempt,
    dither: float,
    most: int,
) -> Attempt:
    fewest, largest = colours_of(goal.floor), ERRORS[colours_of(goal.floor)]
    rungs = [colours for colours in COLOURS if most > colours >= min(fewest, FEWEST)]
    known, low, high = most, 0, len(rungs) - 1
    for _ in range(MAX_REDUCED):
        # The line through the latest size says how many colours fit.
        wanted = math.log2(known) - math.log(goal.budget / best.size) / math.log(HALF_COLOURS)
        fitting = [n for n in range(low, high + 1) if math.log2(rungs[n]) <= wanted]
        if low > high or not fitting and best.size <= goal.budget:
            break
        at = fitting[0] if fitting else high
        while rungs[at] < fewest and at > low and error(rungs[at]) > largest:
            at -= 1
        if rungs[at] < fewest and error(rungs[at]) > largest:
            break
        attempt = Attempt(encode(rungs[at], 0), None)
        if attempt.size <= goal.budget or best.size > goal.budget and attempt.size < best.size:
            best, known = attempt, rungs[at]
        low, high = (low, at - 1) if attempt.size <= goal.budget else (at + 1, high)
    if dither and best.size <= goal.budget and known <= DIFFUSED_BELOW:
        # So few colours look better with diffusion, even if they have to be one rung fewer.
        for colours in rungs[rungs.index(known) : rungs.index(known) + 2]:
            if colours >= fewest or error(colours) <= largest:
                diffused = Attempt(encode(colours, dither), None)
                if diffused.size <= goal.budget:
                    return diffused
    return best


def saved(image: Image.Image, format: str, **settings: Any) -> bytes:
    """Return the image encoded by Pillow.

    The bytes go through a file in memory where the system has such (Linux): Pillow's JPEG encoder
    releases the interpreter lock while it writes to a file and holds it while it writes to a
    BytesIO, and other threads download meanwhile.
    """
    with ExitStack() as stack:
        file: BinaryIO = io.BytesIO()
        if format == "JPEG" and hasattr(os, "memfd_create"):
            file = stack.enter_context(open(os.memfd_create("image"), "w+b"))
        image.save(file, format, **settings)
        file.seek(0)
        return file.read()


def stack_frames(frames: Sequence[Image.Image]) -> Image.Image:
    """Return all frames as one tall image; a single frame as it is."""
    if len(frames) == 1:
        return frames[0]
    width = max(frame.width for frame in frames)
    strip = Image.new(frames[0].mode, (width, sum(frame.height for frame in frames)))
    top = 0
    for frame in frames:
        strip.paste(frame, (0, top))
        top += frame.height
    return strip


def frames_of(strip: Image.Image, frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Cut a strip of frames, whatever its mode is by now, into as many."""
    if len(frames) == 1:
        return [strip]
    width, height = frames[0].size
    return [strip.crop((0, top, width, top + height)) for top in range(0, strip.height, height)]
