"""The frames of an animation one below the other, so that they get one palette together.

A colour then has the same index in every frame: what does not move stays the same, and costs
nothing.
"""

from __future__ import annotations

from PIL import Image

from ..picture import Picture


def strip_of(picture: Picture) -> Image.Image:
    """Return all frames as one tall image; of a still picture the only frame."""
    if not picture.animated:
        return picture.first
    width, height = picture.first.size
    strip = Image.new(picture.first.mode, (width, height * len(picture.frames)))
    for number, frame in enumerate(picture.frames):
        strip.paste(frame, (0, number * height))
    return strip


def frames_of(strip: Image.Image, picture: Picture) -> list[Image.Image]:
    """Cut a strip, whatever its mode is by now, into the frames of its picture."""
    if not picture.animated:
        return [strip]
    width, height = picture.first.size
    return [strip.crop((0, top, width, top + height)) for top in range(0, strip.height, height)]
