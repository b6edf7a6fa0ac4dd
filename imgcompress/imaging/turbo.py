"""Decode and encode plain JPEGs by libjpeg-turbo directly, in about two thirds of Pillow's time.

simplejpeg passes the whole file at once and writes the pixels to their final place. It also leaves
out the smooth upsampling of Pillow's decoder: chroma at half size is repeated, and an encoder at
half size gets back exactly what the source had.

In doubt Pillow decides. Files for which libjpeg only warns are rejected here, so that Pillow
decides whether they are images, and reports the error.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

# Rows x columns x 4 bytes of a pixel, of which the last has no meaning; of grey, x 1.
Pixels = NDArray[np.uint8]

START_OF_JPEG = b"\xff\xd8\xff"
MODES = ("L", "RGB")
# As Pillow counts it.
_SUBSAMPLING = {0: "444", 1: "422", 2: "420"}
_GREY = "Gray"
_BANDS = {1: "GRAY", 4: "RGBX"}


def decoded(data: bytes, mode: str, size: tuple[int, int]) -> Pixels | None:
    """Return the pixels of a JPEG of mode L or RGB; None if Pillow has to check it.

    A file that has another size for libjpeg than for Pillow would evade the limit on pixels.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != size:
            return None
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "GRAY" if mode == "L" else "RGBX", fastupsample=True
        )
        return pixels
    except ValueError:
        return None


def is_sound(data: bytes) -> bool:
    """Return whether libjpeg reads a JPEG, at an eighth of its size, without a warning."""
    try:
        _, _, colours, _ = simplejpeg.decode_jpeg_header(data)
        bands = "CMYK" if colours in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(data, bands, min_height=1, min_width=1)
        return True
    except ValueError:
        return False


def encoded(pixels: Pixels, quality: int, subsampling: int) -> bytes:
    """Return the pixels as a JPEG without metadata; `subsampling` as Pillow counts it."""
    bands = pixels.shape[2]
    chroma = _GREY if bands == 1 else _SUBSAMPLING[subsampling]
    data: bytes = simplejpeg.encode_jpeg(pixels, quality, _BANDS[bands], chroma)
    return data


def viewed(pixels: Pixels) -> Image.Image:
    """Return the pixels as an image of mode L or RGBX, which shares their memory."""
    mode = "L" if pixels.shape[2] == 1 else "RGBX"
    size = (pixels.shape[1], pixels.shape[0])
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)


def decoded_again(data: bytes) -> Pixels:
    """Return the pixels of a sound JPEG in grey or colour, its chroma drawn smooth as browsers do."""
    _, _, colours, _ = simplejpeg.decode_jpeg_header(data)
    pixels: Pixels = simplejpeg.decode_jpeg(data, "GRAY" if colours == _GREY else "RGBX")
    return pixels
