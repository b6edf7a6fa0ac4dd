"""Compress one image: decode, search for the quality, encode, and choose what is kept."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ..errors import ImageError
from .containers.strip import strip_metadata
from .decode import Picture, decode
from .encoders import MAX_SIDE, SHRINK
from .encoders.common import EncodeTarget
from .errors import decoder_errors, encoder_errors, let_go, suppress_pillow_warnings
from .jpeg_engine import recompressed
from .options import Compressed, CompressOptions
from .probe import Source, inspect
from .score import BEST, score
from .search import Attempt

_NOT_FOR_THE_WEB = ("tiff", "bmp")


def compress(data: bytes, options: CompressOptions) -> Compressed:
    """Compress one image as DESIGN.md section 6 promises.

    Raise ImageError, and nothing else, with a code of errors.IMAGE_FAULTS. The number of bytes and
    the time are not limited here: the caller does that.
    """
    try:
        with suppress_pillow_warnings():
            with decoder_errors():
                made = recompressed(data, options)
            if isinstance(made, Compressed):
                return made
            return replace(_from_pixels(data, options), jpeg_engine=made)
    except ImageError as error:
        let_go(error)
        raise


def _from_pixels(data: bytes, options: CompressOptions) -> Compressed:
    with decoder_errors():
        source = inspect(data, options)
    animated = source.animated and options.format != "jpeg"
    pixels = prod(source.shape if animated else source.shape[:2])
    with decoder_errors(pixels):
        picture = decode(source, options, animated=animated)
    source.let_go()
    with encoder_errors(pixels):
        return _compressed(source, picture, options)


def _compressed(source: Source, picture: Picture, options: CompressOptions) -> Compressed:
    source_size = len(source.data)
    goal = EncodeTarget(
        options.budget(source_size), options.min_quality, options.quality, options.effort
    )
    if not goal.quality and (lossless := _rewrapped(source, picture, options, goal.budget)):
        return _result(lossless, source.format, picture, "target_met", looks=BEST)
    attempt, format = _smallest(source, picture, goal, options)
    if attempt.size > goal.budget or goal.quality:
        if lossless := _rewrapped(source, picture, options, attempt.size):
            return _result(lossless, source.format, picture, "already_small", looks=BEST)
    outcome = _outcome(attempt, source_size, goal)
    if outcome == "larger" and format == source.format and options.format == "keep":
        # Not even the floor is below a source that was worse still: match it, whatever it takes.
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
    """Return the attempt in the format that is wanted, and that format.

    TIFF and BMP are no formats for the web. They become JPEG, or PNG where there is alpha or where
    JPEG misses the goal and PNG is smaller, as it is for drawings and scanned text.
    """
    if options.format != "keep" or source.format not in _NOT_FOR_THE_WEB:
        format = source.format if options.format == "keep" else options.format
        return _shrunk(source, picture, format, goal), format
    if picture.has_alpha:
        return _shrunk(source, picture, "png", goal), "png"
    attempt = _shrunk(source, picture, "jpeg", goal)
    if attempt.size <= goal.budget:
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
    return SHRINK[format](picture.on_white() if format == "jpeg" else picture, source, goal)


def _outcome(attempt: Attempt, source_size: int, goal: EncodeTarget) -> str:
    if attempt.size > source_size:
        return "larger"
    if attempt.size <= goal.budget or goal.quality and attempt.size < source_size:
        return "target_met"
    return "floor_reached" if attempt.size < source_size else "already_small"


def _result(
    attempt: Attempt, format: str, picture: Picture, outcome: str, looks: float | None = None
) -> Compressed:
    """Put the result together; `looks` is the score where the pixels are the source's."""
    if looks is None:
        looks = _score(attempt, format, picture)
    return Compressed(attempt.data, format, *picture.first.size, attempt.quality, outcome, looks)


def _score(attempt: Attempt, format: str, picture: Picture) -> float:
    return score((picture.on_white() if format == "jpeg" else picture).first, attempt.data)
