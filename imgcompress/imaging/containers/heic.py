"""The size of the pictures in a HEIC file: HEIF with HEVC inside (ISO/IEC 23008-12, annex B)."""

from __future__ import annotations

from math import prod

from ...errors import ImageError
from . import hevc
from .avif import decodable
from .heif import Items, Reader, pictures, read_items

MOST_READ = 3
# Tiles reach beyond the image at its right and lower edges: by this many times its pixels, or by
# this many pixels where it is small.
TILES_SHARE, TILES_PIXELS = 2, 1 << 22

Size = tuple[int, int]


def size(data: bytes) -> tuple[int, int, int]:
    """Return the width and height of the largest picture in the file, and 1: one is decoded.

    The decoder takes the size from the bitstream, that of a grid from its description, and compares
    them with the file's properties later. Raise ImageError where they cannot be read, and
    `unsupported_format` where the main picture is coded in another way.
    """
    data = decodable(data)
    items = read_items(data)
    if items is None:
        raise ImageError("unsupported_format", "The image is HEIC without a main picture")
    kind = items.kinds.get(items.main, b"")
    if kind not in (b"hvc1", b"grid"):
        name = kind.decode("ascii", "replace").strip() or "nothing"
        raise ImageError(
            "unsupported_format", f"The image is HEIF with {name} instead of HEVC inside"
        )
    coded = _coded_sizes(data, items)
    grids = {
        item: _grid_size(content, items.parts.get(item, []), coded)
        for item, content in pictures(data, b"grid")
    }
    if items.main not in coded | grids:
        raise ImageError("corrupt_image")
    stated = _stated_sizes(data, items)
    return *max((*coded.values(), *grids.values(), *stated), key=prod), 1


def _coded_sizes(data: bytes, items: Items) -> dict[int, Size]:
    """Return the size of each picture, which its decoder is configured with."""
    sizes: dict[int, Size] = {}
    for item, kind in items.kinds.items():
        if kind != b"hvc1":
            continue
        found = [
            size
            for box in items.properties.get(item, [])
            if box.kind == b"hvcC"
            for size in hevc.configured_sizes(data[box.body : box.end])
        ]
        if not found:
            raise ImageError("corrupt_image")
        sizes[item] = max(found, key=prod)
    known, read = set(sizes.values()), 0
    for _, stream in pictures(data, b"hvc1"):
        read += len(stream)
        if read > MOST_READ * len(data) or not known.issuperset(hevc.frame_sizes(stream)):
            raise ImageError("corrupt_image")
    return sizes


def _grid_size(content: bytes, parts: list[int], coded: dict[int, Size]) -> Size:
    """Return the size of a picture that is made of tiles (ISO/IEC 23008-12, 6.6.2.3)."""
    read = Reader(content, 0, len(content))
    number_bytes = 4 if read.number(2) & 1 else 2
    tiles = (read.number(1) + 1) * (read.number(1) + 1)
    width, height = read.number(number_bytes), read.number(number_bytes)
    if len(parts) != tiles or not coded.keys() >= set(parts):
        raise ImageError("corrupt_image")
    pixels = sum(prod(coded[part]) for part in parts)
    if pixels > max(TILES_SHARE * width * height, TILES_PIXELS):
        raise ImageError("corrupt_image", "The HEIC has far more tiles than it needs")
    return width, height


def _stated_sizes(data: bytes, items: Items) -> list[Size]:
    """Return the sizes that the properties of the items state."""
    boxes = [box for found in items.properties.values() for box in found if box.kind == b"ispe"]
    readers = [Reader(data, box.body + 4, box.end) for box in boxes]
    return [(read.number(4), read.number(4)) for read in readers]
