"""The frames of an animation one below the other, so that they get one palette together.

A colour then has the same index in every frame: what does not move stays the same, and costs
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image


def strip_of(frames: Sequence[Image.Image]) -> Image.Image:
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
