"""Reduce the size of an image, in linear light or, which takes less time, by its levels.

Levels of sRGB are not proportional to light. The mean of a white and a black pixel is 188 in linear
light, as an eye sees the two from afar, and 128 by levels: fine bright detail on a dark ground
turns darker.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FILTER = Image.Resampling.LANCZOS
# How many pixels of the result Lanczos with three lobes reaches to each side.
_REACH = 3
# An image that is reduced by more than twice this is averaged in blocks first, and Lanczos does the
# rest: that takes half the time, and costs four to six points of SSIMULACRA2
# (benchmarks/results/quality.md).
_GAP, _FINE_GAP = 1.5, 3.0
# Linear light takes four bytes per pixel and channel, so it is done in strips: of this many pixels,
# and of at least this many rows of the result, because each strip needs the rows around it, too.
_PIXELS_AT_ONCE = 500_000
_LEAST_ROWS = 24
# An image that is reduced by more than the first, whose strips would be large, is first reduced by
# its levels to the second times the size.
_MOST_AT_ONCE, _ENOUGH = 16, 8

_LINEAR_MODES = ("L", "LA", "RGB", "RGBA")
_SHARES = np.arange(256) / 255
# IEC 61966-2-1: from levels to light.
_LIGHT = np.where(_SHARES <= 0.04045, _SHARES / 12.92, ((_SHARES + 0.055) / 1.055) ** 2.4).tolist()
_ALPHA = _SHARES.tolist()
# A table from the square root of light to levels; without the root, it would be too coarse for dark
# levels.
_STEPS = 65_535
_ROOTS = (np.arange(_STEPS + 1) / _STEPS) ** 2
_LEVELS: NDArray[np.uint8] = np.rint(
    255 * np.where(_ROOTS <= 0.0031308, 12.92 * _ROOTS, 1.055 * _ROOTS ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def resized(
    image: Image.Image, size: tuple[int, int], *, linear: bool = True, fine: bool = False
) -> Image.Image:
    """Return the image (in a plain mode) at this smaller size; colours are weighted by alpha.

    `linear` is for levels with the curve of sRGB or about that; CMYK, which counts ink, is resized
    by its levels. `fine` takes more time.
    """
    if image.size == size:
        return image
    if not linear or image.mode not in _LINEAR_MODES:
        return image.resize(size, _FILTER, reducing_gap=_FINE_GAP)
    if max(image.width / size[0], image.height / size[1]) > _MOST_AT_ONCE:
        enough = (min(image.width, _ENOUGH * size[0]), min(image.height, _ENOUGH * size[1]))
        image = image.resize(enough, Image.Resampling.BOX, reducing_gap=1.0)
    gap = _FINE_GAP if fine else _GAP
    result = Image.new(image.mode, size)
    scale = image.height / size[1]
    around = math.ceil(_REACH * scale) + 1
    rows = max(_LEAST_ROWS, int(_PIXELS_AT_ONCE / (image.width * scale)))
    for top in range(0, size[1], rows):
        bottom = min(size[1], top + rows)
        first = max(0, math.floor(top * scale) - around)
        last = min(image.height, math.ceil(bottom * scale) + around)
        strip = image.crop((0, first, image.width, last))
        box = (0.0, top * scale - first, float(image.width), bottom * scale - first)
        box = (*box[:3], min(box[3], strip.height))
        result.paste(_resized_in_light(strip, (size[0], bottom - top), box, gap), (0, top))
    return result


def _resized_in_light(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    gap: float,
) -> Image.Image:
    """Return what is in the box, at this size; pixels around it count where the filter reaches."""

    def reduced(band: Image.Image) -> NDArray[np.float32]:
        return np.asarray(band.resize(size, _FILTER, box, reducing_gap=gap))

    bands = list(image.split())
    if image.mode not in ("LA", "RGBA"):
        return Image.merge(
            image.mode, [_as_levels(reduced(band.point(_LIGHT, "F"))) for band in bands]
        )
    alpha = bands.pop().point(_ALPHA, "F")
    solid = np.asarray(alpha)
    seen = reduced(alpha)
    results = []
    for band in bands:
        light = Image.fromarray(np.asarray(band.point(_LIGHT, "F")) * solid)
        results.append(_as_levels(reduced(light) / np.maximum(seen, np.float32(1e-6))))
    results.append(Image.fromarray(np.rint(255 * np.clip(seen, 0, 1)).astype(np.uint8)))
    return Image.merge(image.mode, results)


def _as_levels(light: NDArray[np.floating[Any]]) -> Image.Image:
    roots = np.sqrt(np.clip(light, 0, 1)) * np.float32(_STEPS) + np.float32(0.5)
    return Image.fromarray(_LEVELS[roots.astype(np.uint16)])
