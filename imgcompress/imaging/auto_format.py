"""Choose the format that needs the fewest bytes for the same visual quality, for `format=auto`.

A sample of the picture is encoded once in each candidate, at qualities that look about alike, and
scored (score.py). A remaining difference in the score is converted to bytes. The usual search then
runs only in the chosen format. A JPEG source is recompressed by the JPEG engine first, which takes
less time than a sample and looks better than a JPEG that is encoded again.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from PIL import Image

from .decode import Picture, StreamedFrames
from .encoders import MAX_SIDE, avif, png, webp
from .encoders.common import DITHER, EncodeTarget, saved
from .encoders.jpeg import EXPONENT, expected_quality
from .encoders.quantiser import MAX_COLOURS, Quantiser, exactly_indexed
from .options import Compressed, CompressOptions
from .probe import Source
from .score import BEST, POINTS_PER_STEP, compared, lowest_quality, score
from .score import sample as pixels_sample
from .search import Attempt
from .turbo import decoded_again

# In the order of their encoding time, the fastest first.
_OPAQUE = ("jpeg", "webp", "avif")
_ALPHA = ("webp", "avif")
# The size of an animation depends on how motion is coded, which a sample does not show.
_ANIMATED = ("webp",)
# If none of these is allowed, the first allowed format is used.
_OTHERWISE = ("webp", "avif", "png", "jpeg")
LOSSLESS_WEBP = "lossless webp"
# Formats of sources that are usually lossless.
_WITHOUT_LOSSES = ("png", "gif", "tiff", "bmp")
# A slower format has to save this share: about the error of a comparison of two samples.
WORTH = 0.1
# Formats are compared at the quality that is expected to fit the budget, within these bounds on the
# JPEG scale.
LOWEST, HIGHEST = 40, 90
# The highest score, and the lowest quality on the JPEG scale, at which advise() compares.
VISUALLY_LOSSLESS, LOWEST_ADVISED = 90.0, 15
# advise() looks at squares of this many pixels first. If no format comes below this multiple of the
# kept bytes, the larger squares are not tried, which would take six times as long (measured:
# benchmarks/results/auto_format.md).
FIRST_SQUARE, HOPELESS = 64, 1.6
# The sample is GRID x GRID squares of SQUARE pixels; each seam costs bytes. They start at multiples
# of 16, so that the blocks of a JPEG source lie in it as they do in the source.
SQUARE = 256
GRID = 2
_ALIGNED = 16
# log(bytes) per point of the score; both are linear in the logarithm of JPEG's quantisation step.
BYTES_PER_POINT = EXPONENT / POINTS_PER_STEP
# The usual effort's. Optimised codes are those of the JPEG engine.
_SETTINGS: dict[str, dict[str, Any]] = {
    "jpeg": {"optimize": True},
    "webp": {"method": webp.METHODS["medium"]},
    "avif": {"speed": avif.SPEEDS["medium"], "max_threads": 1},
}
# How many pixels of an animation's first frames advise() encodes, and the fewest frames.
ADVISED_PIXELS = 2_000_000
LEAST_FRAMES = 4
# libwebp needs about a second and 50 MB per megapixel for a lossless image.
LOSSLESS_WEBP_PIXELS = 8_000_000


def allowed_formats(options: CompressOptions) -> tuple[str, ...]:
    """Return the formats that `auto` may choose from."""
    return tuple(options.formats.split(",")) if options.formats else _OTHERWISE


def choose(
    source: Source,
    picture: Picture,
    goal: EncodeTarget,
    options: CompressOptions,
    engine: Compressed | None,
) -> str:
    """Return the format in which the picture takes the fewest bytes, or LOSSLESS_WEBP.

    `engine` is the result of the JPEG engine, if it could process the file.
    """
    candidates = _candidates(picture, options)
    if engine and engine.quality is None:
        candidates = [format for format in candidates if format != "jpeg"] or candidates
    if len(candidates) == 1:
        return candidates[0]
    sample = _sample(picture.first)
    if engine and engine.quality:
        quality = engine.quality
    else:
        expected = goal.quality or expected_quality(goal.budget, picture, source)
        floor = lowest_quality(goal.least_score) if goal.least_score else goal.floor
        quality = min(HIGHEST, max(LOWEST, floor, expected))
    share = picture.first.width * picture.first.height / (sample.width * sample.height)
    sizes: dict[str, float] = {}
    for format in candidates:
        if format == "jpeg" and engine:
            size, looks = len(engine.data) / share, _looks_of_engine(source, engine, picture)
        else:
            data = _encoded(sample, format, quality)
            size, looks = len(data), score(sample, data)
        sizes[format] = size * math.exp(-BYTES_PER_POINT * looks)
    if source.format in _WITHOUT_LOSSES and not goal.quality and not picture.animated:
        sizes |= _of_drawings(sample, picture, goal, options)
    best = candidates[0]
    for format, size in sizes.items():
        if size <= sizes[best] * (1 - WORTH):
            best = format
    return best


def _looks_of_engine(source: Source, engine: Compressed, picture: Picture) -> float:
    """Return the score of what the JPEG engine made, which keeps small colour profiles."""
    before, after = decoded_again(source.data), decoded_again(engine.data)
    if before.shape == after.shape:
        return compared(pixels_sample(before), pixels_sample(after))
    return score(picture.first, engine.data)


def _of_drawings(
    sample: Image.Image, picture: Picture, goal: EncodeTarget, options: CompressOptions
) -> dict[str, float]:
    """Return the comparable sizes of the formats that suit drawings."""
    sizes: dict[str, float] = {}
    allowed = allowed_formats(options)
    pixels = picture.first.width * picture.first.height
    share = pixels / (sample.width * sample.height)
    if "webp" in allowed and pixels <= LOSSLESS_WEBP_PIXELS:
        size = webp.lossless(replace(picture, frames=[sample]), goal).size
        if size * share <= goal.budget:
            sizes[LOSSLESS_WEBP] = size * math.exp(-BYTES_PER_POINT * BEST)
    if "png" in allowed:
        data = saved(Quantiser([sample]).mapped(MAX_COLOURS, DITHER)[0], "PNG")
        sizes["png"] = len(data) * math.exp(-BYTES_PER_POINT * score(sample, data))
    return sizes


def advise(
    source: Source, picture: Picture, kept: Compressed, options: CompressOptions
) -> tuple[str, int] | None:
    """Return another format that would save bytes at the same score, and about how many it needs.

    None if no format saves WORTH. A sample is encoded once in each, close to the score of the
    `kept` file, or visually lossless if that is better.
    """
    looks = min(kept.score, VISUALLY_LOSSLESS)
    quality = min(HIGHEST, max(LOWEST_ADVISED, lowest_quality(looks)))
    if picture.animated:
        return _advise_animation(picture, kept, looks, quality)
    formats = [
        format
        for format in _candidates(picture, replace(options, formats=None))
        if format != kept.format
    ]
    pixels = picture.first.width * picture.first.height

    def sizes_by(sample: Image.Image) -> dict[str, float]:
        """Return about how many bytes the picture takes in each format, by a sample of it."""
        share = pixels / (sample.width * sample.height)
        sizes: dict[str, float] = {}
        for format in formats:
            data = _encoded(sample, format, quality)
            # A lower score is converted to bytes; a sample that looks better gets no credit for it.
            missing = max(0.0, looks - score(sample, data))
            sizes[format] = len(data) * share * math.exp(BYTES_PER_POINT * missing)
        return sizes

    is_lossless = source.format in _WITHOUT_LOSSES
    if not is_lossless:
        first = sizes_by(_sample(picture.first, FIRST_SQUARE))
        if min(first.values(), default=math.inf) >= len(kept.data) * HOPELESS:
            return None
    sample = _sample(picture.first)
    sizes = sizes_by(sample)
    if is_lossless and "webp" in sizes and pixels <= LOSSLESS_WEBP_PIXELS:
        goal = EncodeTarget(0, options.min_quality)
        lossless = webp.lossless(replace(picture, frames=[sample]), goal).size
        sizes["webp"] = min(sizes["webp"], lossless * pixels / (sample.width * sample.height))
    best: tuple[str, float] | None = None
    for format, size in sizes.items():
        if size <= (best[1] if best else len(kept.data)) * (1 - WORTH):
            best = format, size
    return (best[0], round(best[1])) if best else None


def _advise_animation(
    picture: Picture, kept: Compressed, looks: float, quality: int
) -> tuple[str, int] | None:
    """Return WebP and about how many bytes it takes, by the first frames of an animation.

    One of these frames has to be coded as a whole, so a long animation tends to take fewer. None if
    WebP saves little, or if not all frames can be held in memory, as its encoder requires.
    """
    first = picture.first
    if kept.format == "webp" or isinstance(picture.frames, StreamedFrames):
        return None
    if max(first.size) > MAX_SIDE["webp"]:
        return None
    count = max(LEAST_FRAMES, ADVISED_PIXELS // (first.width * first.height))
    some = picture.frames[:count]
    run = replace(picture, frames=some, durations=picture.durations[: len(some)])
    share = len(picture.frames) / len(some)
    goal = EncodeTarget(0, floor=1)
    data = webp.encoded(run, goal, quality)
    missing = max(0.0, looks - score(first, data))
    sizes = [len(data) * share * math.exp(BYTES_PER_POINT * missing)]
    if sum(frame.width * frame.height for frame in some) <= LOSSLESS_WEBP_PIXELS:
        sizes.append(webp.lossless(run, goal).size * share)
    size = round(min(sizes))
    return ("webp", size) if size <= len(kept.data) * (1 - WORTH) else None


def _candidates(picture: Picture, options: CompressOptions) -> list[str]:
    allowed = allowed_formats(options)
    usual = _ANIMATED if picture.animated else _ALPHA if picture.has_alpha else _OPAQUE
    formats = [format for format in usual if format in allowed]
    formats = formats or [format for format in _OTHERWISE if format in allowed][:1]
    side = max(picture.first.size)
    return [format for format in formats if side <= MAX_SIDE[format]] or formats[:1]


def lossless_of_few_colours(
    picture: Picture, goal: EncodeTarget, options: CompressOptions
) -> tuple[Attempt, str] | None:
    """Return a picture of at most 256 colours without losses, and its format: WebP or PNG.

    None where there are more colours, or neither format is allowed.
    """
    allowed = allowed_formats(options)
    exact = exactly_indexed(picture.frames)
    if exact is None:
        return None
    best: tuple[Attempt, str] | None = None
    pixels = sum(frame.width * frame.height for frame in picture.frames)
    is_small = pixels <= LOSSLESS_WEBP_PIXELS and max(picture.first.size) <= MAX_SIDE["webp"]
    if "webp" in allowed and is_small:
        best = webp.lossless(picture, goal), "webp"
    if "png" in allowed and (not best or png.expected_lossless(exact) < best[0].size):
        attempt = png.lossless(picture, exact, goal)
        if not best or attempt.size < best[0].size:
            best = attempt, "png"
    return best


def _sample(image: Image.Image, square: int = SQUARE) -> Image.Image:
    """Return squares spread evenly over the image, side by side; a small image as it is."""
    side = square * GRID
    if image.width <= side or image.height <= side:
        return image.crop((0, 0, min(image.width, side * 2), min(image.height, side * 2)))
    sample = Image.new(image.mode, (side, side))
    for row in range(GRID):
        for column in range(GRID):
            left = _start(column, image.width, square)
            top = _start(row, image.height, square)
            part = image.crop((left, top, left + square, top + square))
            sample.paste(part, (column * square, row * square))
    return sample


def _start(number: int, length: int, square: int) -> int:
    """Return where a square starts, in the middle of its share of the length."""
    middle = (number + 0.5) * length / GRID
    return int(middle - square / 2) // _ALIGNED * _ALIGNED


def _encoded(sample: Image.Image, format: str, quality: int) -> bytes:
    number = avif.on_avif_scale(quality) if format == "avif" else quality
    return saved(sample, format.upper(), quality=number, **_SETTINGS[format])
