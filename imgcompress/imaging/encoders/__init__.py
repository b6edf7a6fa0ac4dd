"""One module per output format; each has `shrink(picture, source, goal) -> Attempt`."""

from __future__ import annotations

from collections.abc import Callable

from ..decode import Picture
from ..probe import Source
from ..search import Attempt, Curve
from . import avif, gif, jpeg, png, webp
from .common import EncodeTarget

Shrink = Callable[[Picture, Source, EncodeTarget], Attempt]

SHRINK: dict[str, Shrink] = {
    "jpeg": jpeg.shrink,
    "png": png.shrink,
    "webp": webp.shrink,
    "avif": avif.shrink,
    "gif": gif.shrink,
}
# How the sizes of the formats that have a quality follow it.
CURVES: dict[str, Curve] = {"jpeg": jpeg.CURVE, "webp": webp.CURVE, "avif": avif.CURVE}
# The most pixels per side that each format or its encoder takes.
MAX_SIDE = {
    "jpeg": jpeg.MAX_SIDE,
    "png": png.MAX_SIDE,
    "webp": webp.MAX_SIDE,
    "avif": avif.MAX_SIDE,
    "gif": gif.MAX_SIDE,
}
