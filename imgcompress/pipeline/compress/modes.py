"""Bring every pixel mode to one of L, LA, RGB, RGBA or CMYK, with 8 bits per band."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_PLAIN = ("L", "LA", "RGB", "RGBA", "CMYK")
_WITH_ALPHA = {"1": "LA", "L": "LA", "LA": "LA"}


def to_plain(image: Image.Image) -> Image.Image:
    """Return the image in a plain mode; transparency of any kind becomes an alpha band."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode == "LAB":
        return _from_lab(image)
    if image.has_transparency_data and image.mode != "RGBA":
        return _drop_opaque(image.convert(_WITH_ALPHA.get(image.mode, "RGBA")))
    if image.mode in ("LA", "RGBA"):
        return _drop_opaque(image)
    if image.mode in _PLAIN:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _drop_opaque(image: Image.Image) -> Image.Image:
    """Drop an alpha band that hides nothing."""
    lowest, _ = image.getchannel("A").getextrema()
    return image.convert(image.mode[:-1]) if lowest == 255 else image


def _from_deep(image: Image.Image) -> Image.Image:
    """Scale grey values of more than 8 bits to 8; clipping would turn them white.

    I;16 has a known range. Files with 32-bit integers or floats do not tell theirs; it is taken
    from the largest value: 1 (floats), 8 bits, 16 bits, or else from the darkest to the lightest.
    """
    pixels = np.asarray(image).astype(np.float32)
    if image.mode.startswith("I;16"):
        return _grey(pixels * (255 / 65535))
    pixels = np.nan_to_num(pixels, posinf=0, neginf=0)
    low, high = float(pixels.min()), float(pixels.max())
    for top in ((1.0,) if image.mode == "F" else ()) + (255.0, 65535.0):
        if 0 <= low and high <= top:
            return _grey(pixels * (255 / top))
    return _grey((pixels - low) * (255 / (high - low)))


def _grey(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None  # None is only for conversions in place.
    return converted
