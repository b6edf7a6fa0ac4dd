"""PNG: lossless where that reaches the target, else a palette of as many colours as fit."""

from __future__ import annotations

from typing import Any

from PIL import Image

from ..decode import Picture
from ..probe import Source
from ..search import Attempt
from . import palette
from .common import EncodeTarget, most_colours, saved, stack_frames

MAX_SIDE = 2**31 - 1
# A lossless encoding is made only if a sample of the rows says that it comes this near the budget.
PROSPECT = 1.1
SAMPLE_SHARE = 8
SAMPLE_BANDS = 4
_SAMPLED_FROM_PIXELS = 100_000


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best PNG within the goal."""
    frames = picture.frames

    def encode(pixels: list[Image.Image]) -> bytes:
        return saved(pixels[0], "PNG", optimize=goal.smallest, **_animation(picture, pixels))

    indexed = palette.exact(frames)
    lossless = None
    if indexed or not goal.quality and expected_lossless(frames) <= goal.budget * PROSPECT:
        lossless = Attempt(encode(indexed or frames), None)
        if lossless.size <= goal.budget:
            return lossless
    lossy = most_colours(lambda colours: encode(palette.chosen(frames, colours)), goal)
    return lossless if lossless and lossless.size <= lossy.size else lossy


def expected_lossless(frames: list[Image.Image]) -> float:
    """Return about how many bytes a lossless PNG has, from a share of its pixels.

    They are bands of rows over the whole height or, of an animation, some of its frames.
    """
    pixels = sum(frame.width * frame.height for frame in frames)
    if pixels <= _SAMPLED_FROM_PIXELS:
        return 0
    sample = _rows_of(frames[0]) if len(frames) == 1 else stack_frames(frames[::SAMPLE_SHARE])
    return len(saved(sample, "PNG")) * pixels / (sample.width * sample.height)


def _rows_of(image: Image.Image) -> Image.Image:
    rows = max(1, image.height // (SAMPLE_SHARE * SAMPLE_BANDS))
    sample = Image.new(image.mode, (image.width, rows * SAMPLE_BANDS))
    for band in range(SAMPLE_BANDS):
        top = image.height * band // SAMPLE_BANDS
        sample.paste(image.crop((0, top, image.width, top + rows)), (0, band * rows))
    return sample


def _animation(picture: Picture, frames: list[Image.Image]) -> dict[str, Any]:
    if not picture.animated:
        return {}
    return {
        "save_all": True,
        "append_images": frames[1:],
        "duration": list(picture.durations),
        "loop": 1 if picture.loop is None else picture.loop,
        "default_image": False,
    }
