"""Plain JPEGs by libjpeg-turbo with nothing around it, in about two thirds of Pillow's time.

simplejpeg hands over the whole file at once and takes the pixels in the place where they stay. It
also leaves out what Pillow's decoder does for beauty: chroma at half size is repeated, not drawn
smooth, and an encoder at half size gets back exactly what the source had.

Pillow remains the judge. Whatever libjpeg only warns about is refused here, so that Pillow decides
whether it is an image, and says what is wrong with it.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

# Rows x columns x 4 bytes of a pixel, of which the last says nothing; of grey, x 1.
Pixels = NDArray[np.uint8]

MODES = ("L", "RGB")
# As Pillow counts it.
_SUBSAMPLING = {0: "444", 1: "422", 2: "420"}
_GREY = "Gray"
_BANDS = {1: "GRAY", 4: "RGBX"}


def decoded(data: bytes, mode: str, size: tuple[int, int]) -> Pixels | None:
    """Return the pixels of a JPEG of mode L or RGB; None where Pillow has to look at it.

    A file that is of another size to libjpeg than to Pillow would get around the limit of pixels.
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


def encoded(pixels: Pixels, quality: int, subsampling: int) -> bytes:
    """Return the pixels as a JPEG without metadata; `subsampling` as Pillow counts it."""
    return _encoded(pixels, quality, _GREY if pixels.shape[2] == 1 else _SUBSAMPLING[subsampling])


def encoded_luma(pixels: Pixels, quality: int) -> bytes:
    """Return a grey JPEG with the very luma that encoded() gives these pixels."""
    return _encoded(pixels, quality, _GREY)


def _encoded(pixels: Pixels, quality: int, subsampling: str) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(pixels, quality, _BANDS[pixels.shape[2]], subsampling)
    return data


def viewed(pixels: Pixels) -> Image.Image:
    """Return the pixels as an image of mode L or RGBX, which shares their memory."""
    mode = "L" if pixels.shape[2] == 1 else "RGBX"
    size = (pixels.shape[1], pixels.shape[0])
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)


def reduced_luma(data: bytes, size: tuple[int, int], factor: int) -> Pixels:
    """Return the rows x columns of luma of a sound JPEG of this size, reduced by 1, 2 or 4."""
    width, height = (-(-side // factor) for side in size)
    luma: Pixels = simplejpeg.decode_jpeg(data, "GRAY", min_width=width, min_height=height)
    return luma[:, :, 0]
