"""The first directory of a TIFF file (TIFF 6.0, section 2), the one that libtiff uses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import ImageError

# Tiles of 16 x 16 pixels, the smallest that the specification allows, make this many of 25 MP.
MAX_PARTS = 100_000

_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_SIZES = frozenset((_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT))
# Where each strip or tile begins, and how many bytes it has.
_PARTS = frozenset((273, 279, 324, 325))
# The numbers that a size may be written as: a byte, 16 bits, 32 bits.
_NUMBERS = {1: "B", 3: "H", 4: "I"}


class Entry(NamedTuple):
    """One entry of a directory: its tag, the type and number of its values, and where they are."""

    tag: int
    kind: int
    values: int
    start: int


def size(data: bytes) -> tuple[int, int, int]:
    """Return width and height of what a decoder has to hold, and 1, as only one page is decoded.

    That is the image, or a tile of it if it is larger: a tile is decoded as a whole, even if the
    image is only a corner of it. Raise ImageError where
    the directory can be read in more than one way, or has too many strips or tiles.
    """
    order = "<" if data[:2] == b"II" else ">"
    found: dict[int, int] = {}
    for entry in _entries(data, order):
        if entry.tag in _PARTS and entry.values > MAX_PARTS:
            raise ImageError("corrupt_image", "The TIFF has far too many strips or tiles")
        if entry.tag in _SIZES:
            # Of two entries with one tag libtiff uses the first, and others the last.
            if entry.tag in found or entry.kind not in _NUMBERS or entry.values != 1:
                raise ImageError("corrupt_image")
            (found[entry.tag],) = struct.unpack_from(
                order + _NUMBERS[entry.kind], data, entry.start
            )
    width, height = found.get(_WIDTH, 0), found.get(_HEIGHT, 0)
    _check_number_of_tiles(found, width, height)
    if width * height < found.get(_TILE_WIDTH, 0) * found.get(_TILE_HEIGHT, 0):
        return found[_TILE_WIDTH], found[_TILE_HEIGHT], 1
    return width, height, 1


def _check_number_of_tiles(found: dict[int, int], width: int, height: int) -> None:
    across = -(-width // max(1, found.get(_TILE_WIDTH, width)))
    down = -(-height // max(1, found.get(_TILE_HEIGHT, found.get(_ROWS_PER_STRIP, height))))
    if across * down > MAX_PARTS:
        raise ImageError("corrupt_image", "The TIFF has far too many strips or tiles")


def _entries(data: bytes, order: str) -> Iterator[Entry]:
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for number in range(count):
            at = start + 2 + 12 * number
            tag, kind, values = struct.unpack_from(order + "HHI", data, at)
            yield Entry(tag, kind, values, at + 8)
    except struct.error as error:
        raise ImageError("truncated_image", detail=str(error)) from error
