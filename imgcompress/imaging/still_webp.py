"""Decode WebPs of one frame by libwebp directly, in a third of Pillow's memory.

Pillow decodes every WebP as an animation: two canvases, a copy of one, and the image, 16 bytes per
pixel. libwebp's call for a still image writes the pixels to their final place. It is called by
ctypes in the library that Pillow has loaded, and its interface has been the same since version 0.1.

Pillow decides in doubt: whatever libwebp does not decode is left to it, and so is everything if the
library cannot be called.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
from PIL import Image

from .containers.webp import only_frame

_BYTES_PER_PIXEL = 4


def decoded_webp(opened: Image.Image, data: bytes) -> Image.Image | None:
    """Return the pixels of the WebP that Pillow has opened from this data, with its metadata.

    The mode is RGBX or RGBA. None for more than one frame, for damaged files, and where libwebp
    cannot be called.
    """
    frame, library = only_frame(data), _library()
    if frame is None or library is None:
        return None
    width, height = ctypes.c_int(), ctypes.c_int()
    if not library.WebPGetInfo(
        frame.data, len(frame.data), ctypes.byref(width), ctypes.byref(height)
    ):
        return None
    fits = frame.left + width.value <= opened.width and frame.top + height.value <= opened.height
    if (width.value, height.value) != (frame.width, frame.height) or not fits:
        return None
    # Beside a frame that is smaller than its canvas, everything is clear, or black.
    pixels = np.zeros((opened.height, opened.width, _BYTES_PER_PIXEL), np.uint8)
    frame_pixels = pixels[frame.top :, frame.left :]
    offset = (frame.top * opened.width + frame.left) * _BYTES_PER_PIXEL
    if not library.WebPDecodeRGBAInto(
        frame.data,
        len(frame.data),
        frame_pixels.ctypes.data,
        pixels.nbytes - offset,
        opened.width * _BYTES_PER_PIXEL,
    ):
        return None
    # The fourth byte of an opaque image has no meaning.
    mode = "RGBA" if opened.mode == "RGBA" else "RGBX"
    image = Image.frombuffer(mode, opened.size, pixels, "raw", mode, 0, 1)
    image.info = dict(opened.info)
    return image


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """Return libwebp as Pillow's own module finds it."""
    spec = find_spec("PIL._webp")
    try:
        library = ctypes.CDLL(spec.origin if spec else None)
        info, decode = library.WebPGetInfo, library.WebPDecodeRGBAInto
    except (OSError, AttributeError):
        return None
    pointer = ctypes.POINTER(ctypes.c_int)
    info.argtypes = [ctypes.c_char_p, ctypes.c_size_t, pointer, pointer]
    info.restype = ctypes.c_int
    decode.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    decode.restype = ctypes.c_void_p
    return library
