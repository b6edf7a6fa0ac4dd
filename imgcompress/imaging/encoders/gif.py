"""GIF, still and animated: as many colours as fit the target."""

from __future__ import annotations

from typing import Any

from PIL import Image

from ..decode import Picture
from ..probe import Source
from ..search import Attempt
from . import palette
from .common import DITHER, EncodeTarget, most_colours, saved
from .quantiser import Quantiser, bands

MAX_SIDE = 65_535
# From this alpha on a pixel is shown.
SOLID = 128


def shrink(picture: Picture, source: Source, goal: EncodeTarget) -> Attempt:
    """Return the best GIF within the goal."""
    frames = _without_half_alpha(picture.frames)

    exact = palette.exact(frames)
    quantiser = Quantiser(frames)

    def encode(colours: int, dither: float) -> bytes:
        indexed = exact if colours == palette.MAX_COLOURS else None
        indexed = indexed or quantiser.mapped(colours, dither)
        return _encoded(indexed, picture, clear=frames[0].mode == "RGBA")

    # What does not move may not flicker from frame to frame, and costs bytes if it does.
    dither = 0 if exact or picture.animated else DITHER
    return most_colours(encode, quantiser.error, goal, dither)


def _without_half_alpha(frames: list[Image.Image]) -> list[Image.Image]:
    """Make translucent pixels clear or solid, for GIF knows nothing in between, and clear black."""
    if frames[0].mode not in ("LA", "RGBA"):
        return frames
    if not any(any(frame.getchannel("A").histogram()[:SOLID]) for frame in frames):
        return [frame.convert("RGB") for frame in frames]
    return [_cleared(frame) for frame in frames]


def _cleared(frame: Image.Image) -> Image.Image:
    cleared = Image.new("RGBA", frame.size)
    for top, band in bands(frame):
        solid = band.getchannel("A").point([0] * SOLID + [255] * (256 - SOLID))
        cleared.paste(band.convert("RGB").convert("RGBA"), (0, top), solid)
    return cleared


def _encoded(frames: list[Image.Image], picture: Picture, *, clear: bool) -> bytes:
    settings: dict[str, Any] = {}
    if clear:
        for frame in frames:
            palette.name_clear_colour(frame)
        settings = {"transparency": 0, "disposal": 2}
    if picture.animated:
        settings |= {
            "save_all": True,
            "append_images": frames[1:],
            "duration": list(picture.durations),
            "palette": frames[0].getpalette("RGB"),
        }
        if picture.loop is not None:
            settings["loop"] = picture.loop
    return saved(frames[0], "GIF", **settings)
