"""What the encoders share: the target, the number of colours, output buffers, and stacked frames.

A colour then has the same index in every frame: what does not move stays the same, and costs
nothing.
"""

from __future__ import annotations

import io
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
# Bytes with half the colours over bytes with all of them: 0.78 to 0.81 on the sample photos.
HALF_COLOURS = 0.78


def colours_of(quality: int) -> int:
    """Return the number of colours that stands for a quality on the JPEG scale."""
    return next(colours for least, colours in LADDER if quality >= least)


def most_colours(encode: Callable[[int], bytes], goal: EncodeTarget) -> Attempt:
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
