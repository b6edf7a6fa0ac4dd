"""From JPEG to JPEG without pixels: whether an image can go that way, and what comes of it."""

from __future__ import annotations

from ..colour import conversion
from ..fit import fitted_size
from ..options import CompressOptions
from ..result import Compressed
from ..rewrap import has_payload, rewrapped
from .library import Facts, Refused, Requantised, inspect, requantise
from .scale import quality_of, step_of
from .upright import is_upright

USED = "used"
# libjpeg decodes no larger ones.
MAX_SIDE = 65_500
_START = b"\xff\xd8\xff"
# Where steps of quantisation and codes stand in a result.
_HEADER_BYTES = 1024


def recompressed(data: bytes, options: CompressOptions) -> Compressed | str | None:
    """Return the JPEG that a JPEG becomes, or in a word why it has to go by way of pixels.

    None where there is no JPEG that is to stay one. The outcomes are those of result.py.
    """
    if not options.jpeg_engine or not data.startswith(_START):
        return None
    if options.format not in ("keep", "jpeg"):
        return None
    try:
        facts = inspect(data)
        reason = _hindrance(data, facts, options)
        made = None if reason else _recompressed(data, facts, options)
    except Refused as refused:
        reason, made = refused.reason, None
    return made or reason or "no_gain"


def _hindrance(data: bytes, facts: Facts, options: CompressOptions) -> str | None:
    """Return in a word what is asked of the pixels, if anything is."""
    size = (facts.width, facts.height)
    if size[0] * size[1] > options.max_pixels or max(size) > MAX_SIDE:
        return "size"
    if fitted_size(size, 1, options) != size:
        return "resized"
    if not is_upright(data, facts):
        return "turned"
    if facts.profile_parts and not _is_srgb(data, facts):
        return "profile"
    return None


def _is_srgb(data: bytes, facts: Facts) -> bool:
    mode = "L" if facts.components == 1 else "RGB"
    return facts.profile_parts == 1 and conversion(facts.profile.of(data), mode) is None


def _recompressed(data: bytes, facts: Facts, options: CompressOptions) -> Compressed | None:
    """Return the result, None where it is no smaller, or not safe."""
    budget = options.budget(len(data))
    if options.quality:
        made = requantise(data, step_of(options.quality, facts.luma_sum))
        most = 0
    else:
        made = requantise(data, step_of(options.min_quality, facts.luma_sum), budget)
        most = budget
    met = len(made.data) <= budget and (made.lossless or not options.quality)
    if made.pixel_bytes <= (most if met else max(most, len(made.data))):
        # The source's own coding may do, without its metadata.
        plain = rewrapped(data, "jpeg", most if made.pixel_bytes <= most else len(made.data))
        if plain:
            outcome = "target_met" if len(plain) <= most else "already_small"
            return _result(plain, facts, outcome, None, 1.0)
    if len(made.data) >= len(data) or _is_suspect(made):
        return None
    if made.lossless:
        outcome = "target_met" if len(made.data) <= most else "already_small"
        return _result(made.data, facts, outcome, None, 1.0)
    outcome = "target_met" if options.quality or len(made.data) <= budget else "floor_reached"
    return _result(made.data, facts, outcome, quality_of(made.step, facts.luma_sum),
                   made.similarity)


def _is_suspect(made: Requantised) -> bool:
    """Tell whether what was taken over from the source could be something to another program."""
    if made.lossless:
        return has_payload(made.data)
    return not made.own_tables and has_payload(made.data[:_HEADER_BYTES])


def _result(data: bytes, facts: Facts, outcome: str, quality: int | None,
            similarity: float) -> Compressed:
    return Compressed(data, "jpeg", facts.width, facts.height, quality, outcome, similarity,
                      jpeg_engine=USED)
