"""JPEGs of every kind that the engine takes, and of those that it leaves to others."""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from tests.support.images import encoded, photo

SIZES = [(1, 1), (7, 9), (16, 16), (17, 33), (301, 203), (640, 480)]
# Pillow writes no 4:4:0.
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0", "4:4:0", "grey"]
CODINGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "restarts in rows": {"restart_marker_rows": 1},
    "progressive restarts": {"progressive": True, "restart_marker_blocks": 2},
}


@lru_cache(maxsize=400)
def source(
    size: tuple[int, int], sampling: str, coding: str = "baseline", quality: int = 90
) -> bytes:
    """Return a photo of this size, saved in this way."""
    image = photo(*size)
    settings = {"quality": quality} | CODINGS[coding]
    if sampling == "grey":
        return encoded(image.convert("L"), "JPEG", **settings)
    if sampling == "4:4:0":
        return turned_sampling(encoded(image, "JPEG", subsampling="4:2:2", **settings))
    return encoded(image, "JPEG", subsampling=sampling, **settings)


def turned_sampling(data: bytes) -> bytes:
    """Make 4:4:0 of 4:2:2 by the factors in the frame header.

    Where the sides are alike in MCUs the blocks are as many as before, and so it can be decoded:
    the picture is a puzzle, but a JPEG like any other.
    """
    frame = re.search(rb"\xff[\xc0-\xc2]\x00\x11\x08(..)(..)\x03\x01\x21", data, re.DOTALL)
    assert frame
    height, width = (struct.unpack(">H", side)[0] for side in frame.groups())
    # Height and width change places with the factors.
    header = data[frame.start() : frame.start() + 5] + struct.pack(">HH", width, height)
    return data[: frame.start()] + header + b"\x03\x01\x12" + data[frame.end() :]


def pixels(data: bytes) -> NDArray[np.uint8]:
    """Decode by libjpeg-turbo, which raises ValueError even for what it only warns of."""
    grey = simplejpeg.decode_jpeg_header(data)[2] == "Gray"
    decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data, "GRAY" if grey else "RGB", fastupsample=True, strict=True
    )
    return decoded
