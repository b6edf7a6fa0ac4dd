"""Compress JPEGs without decoding them to pixels: which JPEGs can be, and how."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..containers import has_payload, strip_metadata
from ..decode import UPRIGHT, conversion, fitted_size
from ..options import Compressed, CompressOptions
from ..score import BEST, compared, estimated_score, lowest_quality, sample
from ..search import Curve, Range, lowest_passing
from ..turbo import decoded_again
from .library import Facts, Rejected, Requantised, inspect, requantise

USED = "used"
# libjpeg decodes no larger ones.
MAX_SIDE = 65_500
_START = b"\xff\xd8\xff"
# The length of the JFIF header of a result, and the end of its quantisation tables: three at most.
_JFIF_BYTES = 20
_TABLES_END = _JFIF_BYTES + 4 + 3 * 65
# By how much a second result differs in its step or its bytes if the first one must not be used.
_ASIDE = 1.01
# A profile up to this size is kept: Display P3 and Adobe RGB have about 550 bytes. Converting the
# colours takes many times as long, and loses some of them.
_MAX_KEPT_PROFILE = 4096
# The first part of one.
_PROFILE_NAME = b"ICC_PROFILE\0\x01\x01"


def recompressed(data: bytes, options: CompressOptions) -> Compressed | str | None:
    """Return the compressed JPEG, or one word that says why it must be decoded to pixels.

    None unless a JPEG is to stay a JPEG. The outcomes are those of imaging/options.py.
    """
    if not options.jpeg_engine or not data.startswith(_START):
        return None
    if options.format not in ("keep", "jpeg"):
        return None
    try:
        facts = inspect(data)
        turn = turn_of(data, facts)
        reason = _hindrance(data, facts, turn, options)
        made = None if reason else _recompressed(data, facts, turn or 1, options)
    except Rejected as rejected:
        reason, made = rejected.reason, None
    return made or reason or "no_gain"


def _hindrance(data: bytes, facts: Facts, turn: int | None, options: CompressOptions) -> str | None:
    """Return one word that says why pixels are needed, or None."""
    size = (facts.width, facts.height)
    if size[0] * size[1] > options.max_pixels or max(size) > MAX_SIDE:
        return "size"
    if turn is None:
        return "turned"
    if fitted_size(size, turn, options) != size:
        return "resized"
    return "profile" if _profile(data, facts) is None else None


def _profile(data: bytes, facts: Facts) -> bytes | None:
    """Return the colour profile to be kept: none where colours are sRGB as they are.

    None where they have to be converted to sRGB, because the profile is too large, or suspect.
    """
    if not facts.profile_parts:
        return b""
    profile = facts.profile.of(data)
    if facts.profile_parts == 1:
        if conversion(profile, "L" if facts.components == 1 else "RGB") is None:
            return b""
        if len(profile) <= _MAX_KEPT_PROFILE and not has_payload(profile):
            return profile
    return None


def _recompressed(
    data: bytes, facts: Facts, turn: int, options: CompressOptions
) -> Compressed | None:
    """Return the result; None if it is no smaller than the source, or not safe."""
    kept = _segment(_profile(data, facts) or b"")
    # A fixed quality has no budget.
    budget = 0 if options.quality else options.budget(len(data))
    room = budget and max(1, budget - len(kept))
    if options.min_score and not options.quality:
        coarsest = _coarsest_with_score(data, facts, room, turn, options.min_score)
    else:
        coarsest = step_of(options.quality or options.min_quality, facts.luma_sum)
    # In one pass, a file that keeps every coefficient would only get worse codes.
    at_once = options.effort == "low" and coarsest > FINEST
    made = requantise(data, coarsest, room, turn, at_once=at_once)
    if _is_suspect(made):
        # Steps of quantisation that only happen to spell something do not with others beside them.
        # Finer ones where these are the coarsest allowed, or the floor of quality would be undercut.
        if made.step < coarsest:
            made = requantise(data, coarsest, int(room / _ASIDE), turn)
        else:
            made = requantise(data, coarsest / _ASIDE, room, turn)
    result = _Result(facts, turn)
    if turn == 1 and not kept and (plain := _as_it_is(data, made, budget)):
        return result.lossless(plain, budget)
    output = made.data[:_JFIF_BYTES] + kept + made.data[_JFIF_BYTES:] if kept else made.data
    if len(output) >= options.limit(len(data)) or _is_suspect(made):
        return None
    if made.lossless:
        return result.lossless(output, budget)
    outcome = "target_met" if options.quality or len(output) <= budget else "floor_reached"
    compressed = result.of(output, outcome, quality_of(made.step, facts.luma_sum))
    if options.min_score and not options.quality:
        return replace(compressed, score=_looks(data, turn)(output))
    return compressed


def _coarsest_with_score(data: bytes, facts: Facts, room: int, turn: int, least: int) -> float:
    """Return the coarsest step that scores `least`, or any where what fits the room scores more."""
    looks = _looks(data, turn)
    steps: dict[int, float] = {}

    def encode(quality: int) -> bytes:
        made = requantise(data, step_of(quality, facts.luma_sum), orientation=turn)
        steps[quality] = made.step
        return made.data

    coarsest = step_of(1, facts.luma_sum)
    made = requantise(data, coarsest, room, turn)
    if made.lossless or looks(made.data) >= least:
        return coarsest
    # Higher qualities than the source's keep it as it is.
    floor = quality_of(made.step, facts.luma_sum) + 1
    qualities = Range(floor, 95, start=lowest_quality(least))
    found = lowest_passing(encode, looks, least, Curve(estimated_score, slope=1.0), qualities)
    return steps[found.quality or 0]


def _looks(data: bytes, turn: int) -> Callable[[bytes], float]:
    """Return a function that scores a JPEG against this one, once upright. Raise Rejected."""
    try:
        before = decoded_again(data)
    except ValueError as error:
        # libjpeg warned: Pillow has to check it.
        raise Rejected("not_plain") from error
    if turn in UPRIGHT:
        image = Image.fromarray(before[..., :3] if before.shape[2] > 1 else before[..., 0])
        pixels = np.asarray(image.transpose(UPRIGHT[turn]))
        before = pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]
    before = sample(before)
    return lambda output: compared(before, sample(decoded_again(output)))


def _segment(profile: bytes) -> bytes:
    """Return a profile as a segment of its own (ICC.1:2010, B.4)."""
    if not profile:
        return b""
    length = 2 + len(_PROFILE_NAME) + len(profile)
    return b"\xff\xe2" + length.to_bytes(2, "big") + _PROFILE_NAME + profile


def _as_it_is(data: bytes, made: Requantised, budget: int) -> bytes | None:
    """Return the source without its metadata if that fits the budget.

    Also if nothing fits, and the source is smaller than the requantised image.
    """
    met = len(made.data) <= budget
    most = budget if met or made.pixel_bytes <= budget else len(made.data)
    return strip_metadata(data, "jpeg", most) if made.pixel_bytes <= most else None


@dataclass(frozen=True)
class _Result:
    facts: Facts
    turn: int

    def lossless(self, data: bytes, budget: int) -> Compressed:
        """Return a result that looks like its source."""
        return self.of(data, "target_met" if len(data) <= budget else "already_small", None)

    def of(self, data: bytes, outcome: str, quality: int | None) -> Compressed:
        """Return a result with the width and height of the upright image.

        Its score is estimated from its quality; without one, nothing was lost.
        """
        sides = (self.facts.width, self.facts.height)
        width, height = sides if self.turn < 5 else sides[::-1]
        score = BEST if quality is None else estimated_score(quality)
        return Compressed(data, "jpeg", width, height, quality, outcome, score, jpeg_engine=USED)


def _is_suspect(made: Requantised) -> bool:
    """Return whether bytes copied from the source could mean something to another program."""
    if made.lossless:
        return has_payload(made.data)
    return not made.own_tables and has_payload(made.data[:_TABLES_END])


# The step, in per cent of the engine's table, that makes a JPEG look as one that was made of its
# pixels by Annex K's tables at 100 per cent. By SSIMULACRA2 it is about 0.60, at every quality
# (docs/jpeg-engine.md); this is slightly less.
FACTOR = 0.58
# At this step and below every step of quantisation stays the source's.
FINEST = 0.4
# The sum of the luminance table of ITU-T T.81, annex K, which quality 50 uses as it is.
_STANDARD_LUMA_SUM = 3688


def step_of(quality: int, luma_sum: int) -> float:
    """Return the step whose result looks like a JPEG of this quality (1 to 95) made from pixels.

    A source whose own luminance table has that quality or less keeps its steps.
    """
    if quality >= _source_quality(luma_sum):
        return FINEST
    return FACTOR * (5000 / quality if quality < 50 else 200.0 - 2 * quality)


def quality_of(step: float, luma_sum: int) -> int:
    """Return the highest quality that a result of this step matches in looks; the source's at most."""
    # The inverse of step_of, also where the step was rounded.
    of_step = math.floor(_quality(step / FACTOR) + 1e-6)
    return min(95, max(1, min(of_step, _source_quality(luma_sum))))


def _source_quality(luma_sum: int) -> int:
    """Return the nearest quality: the steps of a table are rounded, and so is their sum."""
    return round(_quality(100 * luma_sum / _STANDARD_LUMA_SUM))


def _quality(percent: float) -> float:
    """Return the quality for which libjpeg scales Annex K's tables by `percent`."""
    return 5000 / percent if percent > 100 else (200 - percent) / 2


_ORIENTATION = 0x0112
_SHORT = 3
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def turn_of(data: bytes, facts: Facts) -> int | None:
    """Return the orientation of the image, 1 to 8; None in doubt, so that Pillow decides."""
    if facts.exif.size:
        try:
            turn = _orientation(facts.exif.of(data))
        except (struct.error, KeyError):
            return None
        if turn is not None:
            return turn if 1 <= turn <= 8 else 1
    if facts.xmp.size and b"tiff:Orientation" in facts.xmp.of(data):
        return None
    return 1


def _orientation(exif: bytes) -> int | None:
    """Return the orientation in EXIF (CIPA DC-008, 4.6), or None if there is no such tag.

    Raise struct.error or KeyError if it is damaged or has an unusual type.
    """
    order = _ORDERS[exif[:4]]
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, start)
    for number in range(count):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * number)
        if tag == _ORIENTATION:
            if (kind, values) != (_SHORT, 1):
                raise KeyError(kind)
            return int(value)
    return None
