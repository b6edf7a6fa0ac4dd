"""Compress one image: decode, search for the quality, encode, and choose the result."""

from __future__ import annotations

import math
from dataclasses import replace

from ..errors import ImageError
from .auto_format import (
    BYTES_PER_POINT,
    LOSSLESS_WEBP,
    advise,
    allowed_formats,
    choose,
    lossless_of_few_colours,
)
from .containers import strip_metadata
from .decode import Picture, decode
from .encoders import CURVES, MAX_SIDE, SHRINK, png
from .encoders.avif import on_avif_scale
from .encoders.common import COLOURS, EncodeTarget
from .encoders.png import WORTH_LOSSES
from .encoders.webp import lossless
from .errors import decoder_errors, encoder_errors, let_go, suppress_pillow_warnings
from .jpeg_engine import recompressed
from .options import Compressed, CompressOptions
from .probe import Source, identify, inspect
from .rights import rights_of
from .score import BEST, lowest_quality, score
from .search import Attempt, Curve, Range, lowest_passing

# The highest quality that is used.
CEILING = 95
# Points of the score for twice the colours, of the sample photos; the search corrects it.
_POINTS_PER_DOUBLING = 6.0
# The first number of colours in a search.
_USUAL_COLOURS = 48


def shrink_above_score(
    picture: Picture, source: Source, format: str, goal: EncodeTarget, least: int
) -> Attempt:
    """Return the image within the budget if it scores `least` there, else at the floor.

    The floor is the fewest bytes at which it still scores that. The search for the target runs
    without it first. Only where its result scores too low, higher qualities are encoded and scored,
    until one is just good enough.

    If no quality of the format scores that much, the highest one is used; a PNG is then lossless.
    """
    attempt = SHRINK[format](picture, source, replace(goal, floor=1))
    attempt = replace(attempt, score=score(picture.first, attempt.data))
    if (attempt.score or 0) >= least:
        return attempt

    def encode(easier: EncodeTarget) -> bytes:
        return SHRINK[format](picture, source, easier).data

    def looks(data: bytes) -> float:
        return score(picture.first, data)

    if curve := CURVES.get(format):
        usual = lowest_quality(least)
        floor = (attempt.quality or 0) + 1
        return lowest_passing(
            lambda quality: encode(replace(goal, quality=quality)),
            looks,
            least,
            Curve(curve.position, curve.slope / BYTES_PER_POINT),
            Range(floor, CEILING, on_avif_scale(usual) if format == "avif" else usual),
        )
    # A palette has no quality, but a number of colours, and at last all of them diffused.
    numbers = COLOURS[::-1]
    rungs = [replace(goal, colours=colours) for colours in numbers]
    rungs.append(replace(goal, quality=CEILING))
    found = lowest_passing(
        lambda rung: encode(rungs[rung]),
        looks,
        least,
        Curve(lambda rung: math.log2((*numbers, 2 * numbers[-1])[rung]), _POINTS_PER_DOUBLING),
        Range(0, len(rungs) - 1, start=numbers.index(_USUAL_COLOURS)),
    )
    if format == "png" and (found.score or 0) < least:
        return png.lossless(picture, picture.frames, goal)
    return replace(found, quality=None)


_NOT_FOR_THE_WEB = ("tiff", "bmp", "heif")
# If little or nothing was saved, another format may save more.
_ADVISED = ("floor_reached", "already_small")


def compress(data: bytes, options: CompressOptions) -> Compressed:
    """Compress one image.

    Raise ImageError, and nothing else, with a code of errors.IMAGE_ERRORS. The number of bytes and
    the time are not limited here: the caller does that.
    """
    try:
        with suppress_pillow_warnings():
            if options.metadata == "rights":
                return _with_rights(data, options)
            return _without_metadata(data, options)
    except ImageError as error:
        let_go(error)
        raise


def _with_rights(data: bytes, options: CompressOptions) -> Compressed:
    """Return the image with the rights stated in its source.

    They are left out if they would make the image larger than its source.
    """
    rights = rights_of(data)
    size = rights.bytes_in(identify(data))
    if size:
        made = _without_metadata(data, replace(options, reserved=size))
        made = replace(made, data=rights.put_into(made.data, made.format))
        if len(made.data) <= len(data) or options.format not in ("keep", "auto"):
            return made
    return _without_metadata(data, options)


def _without_metadata(data: bytes, options: CompressOptions) -> Compressed:
    if options.format == "auto":
        return _in_the_best_format(data, options)
    return _in_one_format(data, options, advised=options.format == "keep")


def _in_one_format(data: bytes, options: CompressOptions, *, advised: bool = False) -> Compressed:
    with decoder_errors():
        made = recompressed(data, options)
    if isinstance(made, Compressed):
        if not advised or made.outcome not in _ADVISED:
            return made
        try:
            source, picture, pixels = _decoded(data, options)
            with encoder_errors(pixels):
                return _with_advice(source, picture, made, options)
        except ImageError:
            # The image is already compressed: if it cannot be decoded, only the advice is missing.
            return made
    source, picture, pixels = _decoded(data, options)
    with encoder_errors(pixels):
        result = replace(_compressed(source, picture, options), jpeg_engine=made)
        if advised and result.outcome in _ADVISED:
            return _with_advice(source, picture, result, options)
        return result


def _with_advice(
    source: Source, picture: Picture, made: Compressed, options: CompressOptions
) -> Compressed:
    format, size = advise(source, picture, made, options) or (None, None)
    return replace(made, advice_format=format, advice_bytes=size)


def _in_the_best_format(data: bytes, options: CompressOptions) -> Compressed:
    """Return the image in the format with the fewest bytes, or in its own if that is smaller."""
    allowed = allowed_formats(options)
    if len(allowed) == 1:
        return _in_one_format(data, replace(options, format=allowed[0]))
    keep = replace(options, format="keep")
    with decoder_errors():
        made = recompressed(data, keep) if "jpeg" in allowed else None
    engine = made if isinstance(made, Compressed) else None
    if engine and engine.quality is None and engine.outcome == "target_met":
        return engine
    source, picture, pixels = _decoded(data, options)
    if source.streamed(options):
        # To choose or encode another format, all frames would have to be in memory.
        with encoder_errors(pixels):
            return _compressed(source, picture, keep)
    with encoder_errors(pixels):
        format, result = _chosen(source, picture, options, engine)
    del picture
    if format == source.format == "jpeg":
        # libjpeg-turbo decodes the pixels again, into its own layout.
        return result or _in_one_format(data, keep)
    assert result is not None
    if result.outcome == "larger" and (not options.formats or source.format in allowed):
        return _in_one_format(data, keep)
    return result


def _chosen(
    source: Source, picture: Picture, options: CompressOptions, engine: Compressed | None
) -> tuple[str, Compressed | None]:
    """Return the format, and the image in it; None for a JPEG that stays one without the engine."""
    goal = _goal(source, options)
    spare = engine
    if exact := lossless_of_few_colours(picture, goal, options):
        outcome = _outcome(exact[0], options.limit(len(source.data)), goal)
        spare = _result(*exact, picture, outcome, looks=BEST)
        if exact[0].size <= goal.budget:
            return spare.format, spare
    format = choose(source, picture, goal, options, engine)
    if format == LOSSLESS_WEBP:
        attempt, format = lossless(picture, goal), "webp"
        if attempt.size <= goal.budget:
            return format, _result(attempt, format, picture, "target_met", looks=BEST)
    if format == source.format == "jpeg":
        return format, engine
    result = _compressed(source, picture, _in_format(format, source, options))
    if spare and _is_better(spare, result, options):
        return spare.format, spare
    return format, result


def _is_better(spare: Compressed, result: Compressed, options: CompressOptions) -> bool:
    """Return whether a lossless file, or the JPEG engine's, is better.

    A lossy result that misses the target must save enough bytes to be worth its losses.
    """
    if result.outcome == "target_met" and not options.quality:
        return False
    return len(spare.data) * WORTH_LOSSES <= len(result.data)


def _in_format(format: str, source: Source, options: CompressOptions) -> CompressOptions:
    """Return the options for the format that was chosen, with a fixed quality on its scale."""
    quality = options.quality
    if quality and format == "avif":
        quality = on_avif_scale(quality)
    return replace(options, format="keep" if format == source.format else format, quality=quality)


def _decoded(data: bytes, options: CompressOptions) -> tuple[Source, Picture, int]:
    """Return the source, its pixels, and how many of them are in memory at once."""
    with decoder_errors():
        source = inspect(data, options)
    animated = source.animated and options.format != "jpeg"
    pixels = source.held_pixels(options)
    with decoder_errors(pixels):
        picture = decode(source, options, animated=animated)
    source.let_go()
    return source, picture, pixels


def _goal(source: Source, options: CompressOptions) -> EncodeTarget:
    return EncodeTarget(
        options.budget(len(source.data)),
        options.min_quality,
        options.quality,
        options.effort,
        least_score=options.min_score,
    )


def _compressed(source: Source, picture: Picture, options: CompressOptions) -> Compressed:
    source_size = options.limit(len(source.data))
    goal = _goal(source, options)
    if not goal.quality and (copy := _rewrapped(source, picture, options, goal.budget)):
        return _result(copy, source.format, picture, "target_met", looks=BEST)
    attempt, format = _smallest(source, picture, goal, options)
    if attempt.size > goal.budget or goal.quality:
        if copy := _rewrapped(source, picture, options, attempt.size):
            return _result(copy, source.format, picture, "already_small", looks=BEST)
    outcome = _outcome(attempt, source_size, goal)
    if outcome == "larger" and format == source.format and options.format == "keep":
        # Converted colours may need more bytes than the original ones.
        own = picture.in_place and strip_metadata(
            source.data, format, source_size, own_colours=True
        )
        if own:
            return _result(Attempt(own, None), format, picture, "already_small", looks=BEST)
        # The source has a lower quality than the floor: match its size, at any quality.
        last = EncodeTarget(source_size, floor=1, smallest=True)
        attempt = _shrunk(source, picture, format, last)
        outcome = "already_small" if attempt.size <= source_size else "larger"
    return _result(attempt, format, picture, outcome)


def _rewrapped(
    source: Source, picture: Picture, options: CompressOptions, most: int
) -> Attempt | None:
    """Return the source's own pixels without metadata, if they may be used and fit."""
    if not picture.untouched or options.format not in ("keep", source.format):
        return None
    if source.pixel_bytes > most:
        return None
    data = strip_metadata(source.data, source.format, most)
    return Attempt(data, None) if data else None


def _smallest(
    source: Source, picture: Picture, goal: EncodeTarget, options: CompressOptions
) -> tuple[Attempt, str]:
    """Return the smallest attempt in the requested format, and that format.

    TIFF, BMP and HEIC are not formats for the web. They become JPEG, or PNG if there is alpha,
    or if JPEG misses the goal and PNG is smaller, as it is for drawings and scanned text, but never
    for the photos of a HEIC.
    """
    if options.format != "keep" or source.format not in _NOT_FOR_THE_WEB:
        format = source.format if options.format == "keep" else options.format
        return _shrunk(source, picture, format, goal), format
    if picture.has_alpha:
        return _shrunk(source, picture, "png", goal), "png"
    attempt = _shrunk(source, picture, "jpeg", goal)
    if attempt.size <= goal.budget or source.format == "heif":
        return attempt, "jpeg"
    other = _shrunk(source, picture, "png", goal)
    return (other, "png") if other.size < attempt.size else (attempt, "jpeg")


def _shrunk(source: Source, picture: Picture, format: str, goal: EncodeTarget) -> Attempt:
    if max(picture.first.size) > MAX_SIDE[format]:
        raise ImageError(
            "too_many_pixels",
            f"{format.upper()} takes at most {MAX_SIDE[format]} "
            f"pixels per side, and the image has {max(picture.first.size)}",
        )
    shown = picture.on_white() if format == "jpeg" else picture
    if goal.least_score and not goal.quality:
        return shrink_above_score(shown, source, format, goal, goal.least_score)
    return SHRINK[format](shown, source, goal)


def _outcome(attempt: Attempt, source_size: int, goal: EncodeTarget) -> str:
    if attempt.size > source_size:
        return "larger"
    if attempt.size <= goal.budget or goal.quality and attempt.size < source_size:
        return "target_met"
    return "floor_reached" if attempt.size < source_size else "already_small"


def _result(
    attempt: Attempt, format: str, picture: Picture, outcome: str, looks: float | None = None
) -> Compressed:
    """Assemble the result; `looks` is the score if the pixels are the source's."""
    if looks is None:
        looks = attempt.score
    if looks is None:
        looks = _score(attempt, format, picture)
    return Compressed(attempt.data, format, *picture.first.size, attempt.quality, outcome, looks)


def _score(attempt: Attempt, format: str, picture: Picture) -> float:
    return score((picture.on_white() if format == "jpeg" else picture).first, attempt.data)
