"""AVIF, still and animated, lossy; with alpha where the picture has it."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageChops, ImageStat

from ..decode import Picture
from ..probe import Source
from ..search import FEW_ENCODES, MAX_ENCODES, Attempt, Curve, Range, highest_quality
from .common import EncodeTarget, saved
from .jpeg import expected_quality

CEILING = 95
MAX_SIDE = 16_384
# Speed 7 takes twice the time of 8 for 1 % of the bytes; 9 and 10 save a quarter and cost 6 %.
SPEEDS = {"low": 9, "medium": 8, "high": 6}
SMALLEST_SPEED = 6
# Between 46 and 66, on 40 photos; one quantiser of AV1 stands for one or two qualities.
CURVE = Curve(position=float, slope=0.042)
# Where an AVIF has the SSIM of a JPEG: (JPEG quality, AVIF quality), medians of five sample photos.
LOOKS_LIKE = ((1, 20), (15, 27), (30, 41), (50, 49), (75, 61), (85, 70), (90, 79), (95, 88))
SHARE_OF_JPEG = 0.7
USUAL_START = 50
# With effort=high, chroma keeps its full resolution from this quality on if halving it would change
# it by this much (root mean square, of 255): see benchmarks/results/quality.md. The encoder needs
# more memory for it, so larger pictures are encoded without. The change is measured on a crop with
# sides of SHARP_CROP pixels.
SHARP_FROM, SHARP_CHROMA = 55, 1.8
SHARP_PIXELS, SHARP_CROP = 12_000_000, 1024


def on_avif_scale(jpeg_quality: int) -> int:
    """Return the AVIF quality that looks like this JPEG quality."""
    for (low, at_low), (high, at_high) in zip(LOOKS_LIKE, LOOKS_LIKE[1:]):
        if jpeg_quality <= high:
            return round(at_low + (at_high - at_low) * (jpeg_quality - low) / (high - low))
    return LOOKS_LIKE[-1][1]


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best AVIF within the goal, encoded in one thread: each core has a worker."""
    start = goal.quality or USUAL_START
    if not goal.quality and source.format != "avif":
        start = on_avif_scale(expected_quality(goal.budget / SHARE_OF_JPEG, picture, source))
    keeps_chroma = goal.effort == "high" and start >= SHARP_FROM and _has_sharp_chroma(picture)

    def encode(quality: int) -> bytes:
        return saved(
            picture.first,
            "AVIF",
            quality=quality,
            max_threads=1,
            speed=SMALLEST_SPEED if goal.smallest else SPEEDS[goal.effort],
            subsampling="4:4:4" if keeps_chroma else "4:2:0",
            **_animation(picture),
        )

    if goal.quality:
        return Attempt(encode(goal.quality), goal.quality)
    floor = on_avif_scale(goal.floor) if goal.floor > 1 else 1
    encodes = MAX_ENCODES if goal.effort == "high" else FEW_ENCODES
    return highest_quality(encode, goal.budget, CURVE, Range(floor, CEILING, start), encodes)


def _has_sharp_chroma(picture: Picture) -> bool:
    """Return whether halving the resolution of chroma would change a still picture visibly."""
    image = picture.first
    pixels = image.width * image.height
    if picture.animated or min(image.size) < 2 or pixels > SHARP_PIXELS:
        return False
    left, top = (max(0, side - SHARP_CROP) // 2 for side in image.size)
    crop = image.crop((left, top, image.width - left, image.height - top))
    full = crop.convert("RGB").convert("YCbCr")
    width, height = (side // 2 * 2 for side in full.size)
    full = full.crop((0, 0, width, height))
    halved = full.reduce(2).resize(full.size, Image.Resampling.NEAREST)
    changes = ImageStat.Stat(ImageChops.difference(full, halved)).rms[1:]
    return max(changes) >= SHARP_CHROMA


def _animation(picture: Picture) -> dict[str, Any]:
    if not picture.animated:
        return {}
    return {
        "save_all": True,
        "append_images": picture.frames[1:],
        "duration": list(picture.durations),
    }
