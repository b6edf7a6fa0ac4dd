"""GIF, still and animated: as many colours as fit the target.

Frames are reduced and written one by one, so that a long animation is never held as a whole. One
that is decoded again for each encode is encoded three times at most: how many colours it may have
follows from a sample of its frames.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from PIL import GifImagePlugin, Image, ImageChops

from ..decode import Picture, StreamedFrames
from ..probe import Source
from ..search import Attempt
from .common import DITHER, EncodeTarget, colours_of, most_colours, saved
from .quantiser import MAX_COLOURS, Quantiser, bands, coded, exact_codes, mapped, name_clear_colour

MAX_SIDE = 65_535
# Pixels of this alpha and above are opaque.
SOLID = 128
# The longest that a frame can stay, in milliseconds.
MAX_DURATION = 655_350
# The pixels of a sample of frames. It consists of runs of RUN frames, since a frame costs as much as
# it changes.
SAMPLE_PIXELS = 8_000_000
RUN = 4
MAX_FULL_ENCODES = 3
# The share of the budget that the sample aims at.
AIM = 0.97

# Reduces frames to a number of colours, with a share of the errors diffused.
Encode = Callable[[Iterable[Image.Image], int, float], bytes]


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best GIF within the goal."""
    frames = _without_half_alpha(picture.frames)
    clear = frames[0].mode == "RGBA"
    exact = exact_codes(frames)
    quantiser = Quantiser(frames)

    def encode(some: Iterable[Image.Image], colours: int, dither: float) -> bytes:
        if exact is not None and colours == MAX_COLOURS:
            indexed = (coded(frame, exact) for frame in some)
        else:
            table = quantiser.table(colours)
            indexed = (mapped(frame, table, dither) for frame in some)
        if picture.animated:
            return _animation(indexed, picture, clear=clear)
        return _still(next(indexed), clear=clear)

    if isinstance(frames, StreamedFrames):
        return _streamed(frames, encode, quantiser.error, goal)
    # What does not move may not flicker from frame to frame, and costs bytes if it does.
    dither = 0 if exact is not None or picture.animated else DITHER
    return most_colours(
        lambda colours, dither: encode(frames, colours, dither), quantiser.error, goal, dither
    )


def _streamed(
    frames: StreamedFrames, encode: Encode, error: Callable[[int], float], goal: EncodeTarget
) -> Attempt:
    """Return a long animation with the most colours that fit, by the search on a sample of it."""
    fixed = goal.colours or goal.quality and colours_of(goal.quality)
    colours = fixed or MAX_COLOURS
    best = Attempt(encode(frames, colours, 0), None)
    if fixed or best.size <= goal.budget:
        return best
    sample = _sample(frames)
    tried = {colours: encode(sample, colours, 0)}

    def encode_sample(colours: int, _: float) -> bytes:
        if colours not in tried:
            tried[colours] = encode(sample, colours, 0)
        return tried[colours]

    full = best
    for _ in range(MAX_FULL_ENCODES - 1):
        share = len(tried[colours]) / full.size
        budget = int(goal.budget * share * AIM)
        found = most_colours(encode_sample, error, replace(goal, budget=budget), 0)
        fewer = next(number for number, data in tried.items() if data is found.data)
        if fewer >= colours:
            break
        colours, full = fewer, Attempt(encode(frames, fewer, 0), None)
        best = min(best, full, key=lambda attempt: attempt.size)
        if full.size <= goal.budget:
            break
    return best


def _sample(frames: StreamedFrames) -> list[Image.Image]:
    """Return runs of frames, evenly spread, of about SAMPLE_PIXELS pixels."""
    count = max(RUN, SAMPLE_PIXELS // (frames[0].width * frames[0].height))
    runs = max(1, count // RUN)
    if runs * RUN >= len(frames):
        return list(frames)
    starts = [(len(frames) - RUN) * (2 * run + 1) // (2 * runs) for run in range(runs)]
    wanted = {start + number for start in starts for number in range(RUN)}
    return [frame for number, frame in enumerate(frames) if number in wanted]


def _without_half_alpha(frames: Sequence[Image.Image]) -> Sequence[Image.Image]:
    """Make translucent pixels clear or solid, as GIF requires, and clear ones black."""
    if frames[0].mode not in ("LA", "RGBA"):
        return frames
    change = _cleared
    if not any(any(frame.getchannel("A").histogram()[:SOLID]) for frame in frames):
        change = _opaque
    if isinstance(frames, StreamedFrames):
        return frames.mapped(change)
    return [change(frame) for frame in frames]


def _opaque(frame: Image.Image) -> Image.Image:
    return frame.convert("RGB")


def _cleared(frame: Image.Image) -> Image.Image:
    cleared = Image.new("RGBA", frame.size)
    for top, band in bands(frame):
        solid = band.getchannel("A").point([0] * SOLID + [255] * (256 - SOLID))
        cleared.paste(band.convert("RGB").convert("RGBA"), (0, top), solid)
    return cleared


def _still(frame: Image.Image, *, clear: bool) -> bytes:
    if not clear:
        return saved(frame, "GIF")
    name_clear_colour(frame)
    return saved(frame, "GIF", transparency=0, disposal=2)


def _animation(indexed: Iterable[Image.Image], picture: Picture, *, clear: bool) -> bytes:
    """Return the frames, which share one palette, as a GIF that stores only the changes of each.

    Pillow's own writer holds all frames in memory until the last one.
    """
    file = io.BytesIO()
    settings: dict[str, Any] = {"transparency": 0, "disposal": 2} if clear else {}
    for frame, box, duration in _changes(indexed, picture.durations, clear=clear):
        if not file.tell():
            header = settings | {"duration": duration}
            if picture.loop is not None:
                header["loop"] = picture.loop
            file.writelines(GifImagePlugin.getheader(frame, None, header)[0])
        settings["duration"] = duration
        file.writelines(GifImagePlugin.getdata(frame.crop(box), box[:2], **settings))
    file.write(b";")
    return file.getvalue()


def _changes(
    indexed: Iterable[Image.Image], durations: Sequence[int], *, clear: bool
) -> Iterator[tuple[Image.Image, tuple[int, int, int, int], int]]:
    """Yield each frame that changes something, the box in which it does, and its milliseconds.

    A frame with clear pixels replaces the one before, which is disposed of; others are put on it.
    """
    before: Image.Image | None = None
    box, stays = (0, 0, 0, 0), 0
    for frame, duration in zip(indexed, durations):
        if clear:
            name_clear_colour(frame)
        if before is None:
            before, box, stays = frame, (0, 0, *frame.size), duration
            continue
        changed = ImageChops.subtract_modulo(frame, before).getbbox()
        if not changed and stays + duration <= MAX_DURATION:
            stays += duration
            continue
        yield before, box, stays
        # Colour 0 is the clear one, which is what the frame before has left.
        before, stays = frame, duration
        box = (frame.getbbox() if clear else changed) or (0, 0, 1, 1)
    if before is not None:
        yield before, box, stays
