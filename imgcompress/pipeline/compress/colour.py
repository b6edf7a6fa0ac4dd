"""Bring colours to sRGB, the colour space that a browser takes an image without profile to have."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 << 20
# A profile whose conversion moves no colour by more than this many of 255 is sRGB under any name.
SAME_COLOUR = 2
_SPACES = {"L": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image (mode L, LA, RGB, RGBA or CMYK) in sRGB, with its alpha band unchanged.

    A profile that is broken or belongs to another colour space is ignored, as browsers do.
    """
    if image.mode == "LA":
        grey = to_srgb(image.getchannel("L"), profile)
        grey.putalpha(image.getchannel("A"))
        return grey
    transform = conversion(profile, image.mode) if profile else None
    if transform is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    converted = transform.apply(image)
    return converted.convert("L") if image.mode == "L" else converted


@lru_cache(maxsize=8)
def conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from this profile to sRGB, None where there is nothing to convert.

    Cached, because the images of one shop or camera share their profile.
    """
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _SPACES.get(mode):
            return None
        transform = ImageCms.ImageCmsTransform(
            source, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), mode,
            "RGBA" if mode == "RGBA" else "RGB", _INTENT, flags=_FLAGS)
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Try the transform on a cube of 6 x 6 x 6 colours (the greys, for L)."""
    if mode == "CMYK":
        return False
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, 36, 3)
    colours = Image.fromarray(cube)
    before = colours.convert("L").convert("RGB") if mode == "L" else colours
    after = transform.apply(colours.convert(mode)).convert("RGB")
    difference = np.asarray(before, dtype=np.int16) - np.asarray(after, dtype=np.int16)
    return int(np.abs(difference).max()) <= SAME_COLOUR
