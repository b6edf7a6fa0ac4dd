"""What the encoders share: the target, the number of colours, output buffers, and stacked frames.

Frames are stacked so that a colour has the same index in each: what does not move stays the same,
and costs nothing.
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
    allows the slowest settings. With `least_score` the floor is a score (compressor.py).
    `colours` fixes the number of colours of a palette.
    """

    budget: int
    floor: int
    quality: int | None = None
    effort: str = "medium"
    smallest: bool = False
    least_score: int | None = None
    colours: int | None = None


# The fewest colours that a quality on the JPEG scale allows.
LADDER = ((75, 256), (50, 128), (30, 64), (15, 32), (5, 16), (1, 2))
# The numbers of colours that a search tries.
COLOURS = (256, 192, 128, 96, 64, 48, 40, 32, 28, 24, 20, 16, 14, 12, 8, 4, 2)
# Bytes with half the colours over bytes with all of them.
HALF_COLOURS = 0.82
# The share of the budget that a number of colours aims at.
AIM = 0.98
# The share of an error that is diffused: all of it costs bytes and looks no better.
DITHER = 0.8
LESS_DITHER = 0.4
# Encodes with fewer colours than the most, before any of them are diffused.
MAX_REDUCED = 5
# Where this many colours or fewer fit without diffusion, it is tried.
DIFFUSED_BELOW = 48
# What is nearer to the budget has no room for it.
ROOM = 0.94
# The fewest colours that a picture may have that loses little by them, and the most that it may
# lose: the root mean square of its errors in levels. At 3 SSIMULACRA2 was at 57 to 91, and at 5.5
# at 50 to 90.
FEWEST = 12
ERRORS = {256: 1.5, 128: 2.2, 64: 3.2, 32: 6.0, 16: 9.0, 2: 255.0}


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
    """Return the best-looking encoding that fits the goal, or the smallest one tried.

    `encode` takes a number of colours and the share of the errors that is diffused; `error` returns
    the error of a number of colours. More colours look better, and above some dozens they look
    better than diffused errors of the same bytes.
    """
    if goal.colours:
        return Attempt(encode(min(goal.colours, most), 0), None)
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
    """Return the encoding with the most colours below `most` that fits, or the smallest one tried.

    Fewer colours than the lowest number are used only if their error is small.
    """
    fewest, largest = colours_of(goal.floor), ERRORS[colours_of(goal.floor)]
    rungs = [colours for colours in COLOURS if most > colours >= min(fewest, FEWEST)]

    def allowed(colours: int) -> bool:
        return colours >= fewest or error(colours) <= largest

    # The fewest colours that do not fit, and their bytes.
    over = (most, best.size)
    known, low, high = most, 0, len(rungs) - 1
    encodes, has_fitted = 0, False
    while low <= high and encodes < MAX_REDUCED:
        # Where a few colours cover flat areas, bytes fall in a jump, which no line foresees.
        at = (low + high) // 2
        if not has_fitted:
            halvings = math.log(over[1] / (goal.budget * AIM)) / -math.log(HALF_COLOURS)
            wanted = over[0] / 2**halvings
            at = next((n for n in range(low, high) if rungs[n] <= wanted), high)
        if not allowed(rungs[at]):
            high = at - 1
            continue
        attempt, encodes = Attempt(encode(rungs[at], 0), None), encodes + 1
        if attempt.size <= goal.budget or best.size > goal.budget and attempt.size < best.size:
            best, known = attempt, rungs[at]
        if attempt.size <= goal.budget:
            has_fitted, high = True, at - 1
        else:
            over, low = (rungs[at], attempt.size), at + 1
    if not dither or best.size > goal.budget or known > DIFFUSED_BELOW:
        return best
    # This few colours look better with diffusion, even if that takes one step fewer.
    at = rungs.index(known) + (best.size > ROOM * goal.budget)
    rest = [colours for colours in rungs[at : rungs.index(known) + 2] if allowed(colours)]
    return _first_that_fits(encode, goal, rest, dither) or best


def _first_that_fits(
    encode: Callable[[int, float], bytes], goal: EncodeTarget, rungs: list[int], dither: float
) -> Attempt | None:
    for colours in rungs:
        attempt = Attempt(encode(colours, dither), None)
        if attempt.size <= goal.budget:
            return attempt
    return None


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
    """Cut stacked frames, in any mode, into this many."""
    if len(frames) == 1:
        return [strip]
    width, height = frames[0].size
    return [strip.crop((0, top, width, top + height)) for top in range(0, strip.height, height)]
