"""GIF, still and animated: as many colours as fit the target."""

from __future__ import annotations

from typing import Any

from PIL import Image

from ..picture import Picture
from ..search import Attempt
from ..source import Source
from . import palette
from .colours import most_colours
from .goal import Goal
from .output import saved
from .strip import frames_of, strip_of

MAX_SIDE = 65_535


def shrink(picture: Picture, source: Source, goal: Goal) -> Attempt:
    """Return the best GIF within the goal."""
    strip = _without_half_alpha(strip_of(picture))

    def encode(colours: int) -> bytes:
        indexed = palette.exact(strip) if colours == palette.MAX_COLOURS else None
        return _encoded(indexed or palette.chosen(strip, colours), picture,
                        clear=strip.mode == "RGBA")

    return most_colours(encode, goal)


def _without_half_alpha(strip: Image.Image) -> Image.Image:
    """Make translucent pixels clear or solid, for GIF knows nothing in between, and clear black."""
    if strip.mode not in ("LA", "RGBA"):
        return strip
    solid = strip.getchannel("A").point([0] * 128 + [255] * 128)
    if solid.getextrema() == (255, 255):
        return strip.convert("RGB")
    clear = Image.new("RGBA", strip.size)
    return Image.composite(strip.convert("RGB").convert("RGBA"), clear, solid)


def _encoded(strip: Image.Image, picture: Picture, *, clear: bool) -> bytes:
    settings: dict[str, Any] = {}
    if clear:
        palette.name_clear_colour(strip)
        settings = {"transparency": 0, "disposal": 2}
    frames = frames_of(strip, picture)
    if picture.animated:
        settings |= {"save_all": True, "append_images": frames[1:],
                     "duration": list(picture.durations), "palette": strip.getpalette("RGB")}
        if picture.loop is not None:
            settings["loop"] = picture.loop
    return saved(frames[0], "GIF", **settings)
