"""The size of the pictures in a HEIC file: HEIF with HEVC inside (ISO/IEC 23008-12, annex B).

A decoder takes it from the sequence parameter sets of the bitstream alone (ITU-T H.265), whatever
the file around them says.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ...errors import ImageError
from .avif import decodable
from .heif import Bits, Items, Reader, pictures, read_items

# Profiles, levels and what stands before the size take 120 bytes at most.
MAX_HEADER_BYTES = 256
# A picture has at most 600 slices (A.4.2), each a unit of its own.
MAX_UNITS = 10_000

_PARAMETERS = 33


def frame_sizes(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size that each sequence parameter set of a stream has.

    Each unit of the stream is preceded by its length in four bytes (ISO/IEC 14496-15). Raise
    ImageError if it is broken, or has far more units than any real picture.
    """
    position = 0
    for _ in range(MAX_UNITS):
        if position + 4 > len(stream):
            return
        start = position + 4
        position = start + int.from_bytes(stream[position:start], "big")
        yield from _sizes_of_unit(stream[start : min(position, start + MAX_HEADER_BYTES)])
    raise ImageError("corrupt_image", "The HEIC has far too many units")


def configured_sizes(record: bytes) -> Iterator[tuple[int, int]]:
    """Yield the sizes in a decoder configuration record, hvcC (ISO/IEC 14496-15, 8.3.3.1)."""
    if len(record) < 23 or record[21] & 3 != 3:
        # Lengths of less than four bytes are not used in practice.
        raise ImageError("corrupt_image")
    position = 23
    for _ in range(record[22]):
        units = int.from_bytes(record[position + 1 : position + 3], "big")
        position += 3
        for _ in range(units):
            start = position + 2
            position = start + int.from_bytes(record[position:start], "big")
            if position > len(record):
                raise ImageError("truncated_image")
            yield from _sizes_of_unit(record[start : min(position, start + MAX_HEADER_BYTES)])


def _sizes_of_unit(unit: bytes) -> Iterator[tuple[int, int]]:
    if unit and unit[0] >> 1 & 63 == _PARAMETERS:
        # Within a unit 00 00 is followed by 03 where a marker could be seen in it (7.4.2).
        yield _size(Bits(unit[2:].replace(b"\0\0\3", b"\0\0")))


def _size(bits: Bits) -> tuple[int, int]:
    """Return the size that a sequence parameter set gives (7.3.2.2)."""
    bits.number(4)
    layers = bits.number(3)
    bits.number(1)
    _skip_profiles(bits, layers)
    bits.variable_length()
    if bits.variable_length() == 3:
        bits.number(1)
    return bits.variable_length(), bits.variable_length()


def _skip_profiles(bits: Bits, layers: int) -> None:
    """Skip profile_tier_level() (7.3.3)."""
    bits.number(96)
    present = [(bits.number(1), bits.number(1)) for _ in range(layers)]
    bits.number(2 * (8 - layers) if layers else 0)
    for has_profile, has_level in present:
        bits.number(88 * has_profile + 8 * has_level)


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
            for size in configured_sizes(data[box.body : box.end])
        ]
        if not found:
            raise ImageError("corrupt_image")
        sizes[item] = max(found, key=prod)
    known, read = set(sizes.values()), 0
    for _, stream in pictures(data, b"hvc1"):
        read += len(stream)
        if read > MOST_READ * len(data) or not known.issuperset(frame_sizes(stream)):
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
