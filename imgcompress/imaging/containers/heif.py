"""Where a HEIF file has the bitstreams of its pictures (ISO/IEC 23008-12 and 14496-12).

A still picture is an item of the box `meta`, and so is each tile of a grid, and the alpha of
either; an animation is a track of the box `moov`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import ImageError


class Bits:
    """Read numbers bit by bit. Raise ImageError `truncated_image` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def number(self, bits: int) -> int:
        """Return the number that the next bits make."""
        self._left -= bits
        if self._left < 0:
            raise ImageError("truncated_image")
        return self._value >> self._left & (1 << bits) - 1

    def variable_length(self) -> int:
        """Return an Exp-Golomb number: uvlc() of AV1 (4.10.3), ue(v) of HEVC (9.2)."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros) if zeros < 32 else (1 << 32) - 1


# Real files have some dozens of items and some hundreds of samples.
MAX_PARTS = 100_000

_CONTAINERS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl"))
Span = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """One box, data[start:end], with its header; what it holds begins at `body`."""

    kind: bytes
    start: int
    end: int
    body: int


class Reader:
    """Reads numbers one by one. Raises ImageError if the data end first."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self.data, self.position, self.end = data, position, end

    def number(self, size: int) -> int:
        """Return the number of the next bytes, the highest first."""
        start, self.position = self.position, self.position + size
        if self.position > self.end:
            raise ImageError("truncated_image")
        return int.from_bytes(self.data[start : self.position], "big")


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes in data[start:end]. Raise ImageError if one does not end within it."""
    for _ in range(MAX_PARTS):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1 and body + 8 <= end:
            length, body = int.from_bytes(data[body : body + 8], "big"), body + 8
        after = start + length if length else end
        if after > end or after < body:
            raise ImageError("corrupt_image")
        yield Box(kind, start, after, body)
        start = after
    raise ImageError("corrupt_image", "The file has far too many boxes")


def pictures(data: bytes, kind: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each item of this type and its bitstream; of items with the same bytes, the first.

    Raise ImageError where there are too many.
    """
    for meta in boxes(data, 0, len(data)):
        if meta.kind == b"meta":
            yield from _items(data, meta, kind)


def samples(data: bytes) -> Iterator[bytes]:
    """Yield the bitstream of each sample of each track."""
    for table in _sample_tables(data, 0, len(data)):
        for start, end in _samples(data, table):
            yield data[start:end]


def chunk_offsets(data: bytes) -> Iterator[Box]:
    """Yield the table of each track that says where its chunks are, with numbers of 32 bits."""
    for table in _sample_tables(data, 0, len(data)):
        if b"stco" in table:
            yield table[b"stco"]


def _items(data: bytes, meta: Box, kind: bytes) -> Iterator[tuple[int, bytes]]:
    found = {box.kind: box for box in boxes(data, meta.body + 4, meta.end)}
    if not {b"iinf", b"iloc"} <= found.keys():
        return
    wanted = {item for item, has in _kinds(data, found[b"iinf"]) if has == kind}
    stored = found.get(b"idat")
    seen: set[tuple[Span, ...]] = set()
    for item, spans in _locations(data, found[b"iloc"], stored):
        if item in wanted and spans not in seen:
            seen.add(spans)
            yield item, b"".join(data[start:end] for start, end in spans)


@dataclass(frozen=True)
class Items:
    """The items of a file: which one is the main picture, and the type and properties of each.

    `parts` are the items that another is composed of, such as the tiles of a grid.
    """

    main: int
    kinds: dict[int, bytes]
    properties: dict[int, list[Box]]
    parts: dict[int, list[int]]


def read_items(data: bytes) -> Items | None:
    """Return the items of the box `meta`, None where there are none (ISO/IEC 23008-12, 6)."""
    meta = next((box for box in boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        return None
    found = {box.kind: box for box in boxes(data, meta.body + 4, meta.end)}
    if not {b"pitm", b"iinf", b"iprp"} <= found.keys():
        return None
    main = Reader(data, found[b"pitm"].body, found[b"pitm"].end)
    number = main.number(2 if main.number(4) >> 24 == 0 else 4)
    return Items(
        number,
        dict(_kinds(data, found[b"iinf"])),
        dict(_properties(data, found[b"iprp"])),
        dict(_parts(data, found[b"iref"])) if b"iref" in found else {},
    )


def colour_code(data: bytes) -> tuple[int, int] | None:
    """Return the codes of the primaries and of the transfer in the box of the main picture.

    They are of CICP (ITU-T H.273). None where there is no such box; a profile does not count.
    """
    items = read_items(data)
    for box in items.properties.get(items.main, []) if items else []:
        if box.kind == b"colr" and data[box.body : box.body + 4] == b"nclx":
            read = Reader(data, box.body + 4, box.end)
            return read.number(2), read.number(2)
    return None


def _properties(data: bytes, box: Box) -> Iterator[tuple[int, list[Box]]]:
    """Yield the properties of each item (ISO/IEC 23008-12, 9.3)."""
    found = {inner.kind: inner for inner in boxes(data, box.body, box.end)}
    if not {b"ipco", b"ipma"} <= found.keys():
        return
    known = list(boxes(data, found[b"ipco"].body, found[b"ipco"].end))
    read = Reader(data, found[b"ipma"].body, found[b"ipma"].end)
    version_and_flags = read.number(4)
    item_bytes = 4 if version_and_flags >> 24 else 2
    place_bytes = 2 if version_and_flags & 1 else 1
    # The highest bit says whether the property is essential.
    mask = (1 << 8 * place_bytes - 1) - 1
    for _ in range(read.number(4)):
        item = read.number(item_bytes)
        places = [read.number(place_bytes) & mask for _ in range(read.number(1))]
        yield item, [known[place - 1] for place in places if 0 < place <= len(known)]


def _parts(data: bytes, table: Box) -> Iterator[tuple[int, list[int]]]:
    """Yield the items that each item is composed of (ISO/IEC 14496-12, 8.11.12)."""
    item_bytes = 2 if data[table.body] == 0 else 4
    for entry in boxes(data, table.body + 4, table.end):
        if entry.kind == b"dimg":
            read = Reader(data, entry.body, entry.end)
            item = read.number(item_bytes)
            yield item, [read.number(item_bytes) for _ in range(read.number(2))]


def _kinds(data: bytes, table: Box) -> Iterator[tuple[int, bytes]]:
    """Yield each item and its type (ISO/IEC 14496-12, 8.11.6)."""
    count_bytes = 2 if data[table.body] == 0 else 4
    for entry in boxes(data, table.body + 4 + count_bytes, table.end):
        version = data[entry.body]
        read = Reader(data, entry.body + 4, entry.end)
        item = read.number(2 if version < 3 else 4)
        read.number(2)
        yield item, data[read.position : read.position + 4]


def _locations(
    data: bytes, table: Box, stored: Box | None
) -> Iterator[tuple[int, tuple[Span, ...]]]:
    """Yield where each item is (ISO/IEC 14496-12, 8.11.3)."""
    read = Reader(data, table.body, table.end)
    version = read.number(4) >> 24
    sizes = read.number(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (
        sizes >> 12,
        sizes >> 8 & 15,
        sizes >> 4 & 15,
        sizes & 15 if version else 0,
    )
    wide = 4 if version == 2 else 2
    for _ in range(read.number(wide)):
        item = read.number(wide)
        method = read.number(2) & 15 if version else 0
        read.number(2)
        base = read.number(base_bytes)
        start, end = 0, len(data)
        if method == 1 and stored:
            start, end = stored.body, stored.end
        elif method:
            raise ImageError("corrupt_image")
        spans = []
        for _ in range(read.number(2)):
            read.number(index_bytes)
            at = start + base + read.number(offset_bytes)
            length = read.number(length_bytes)
            spans.append((at, min(end, at + length) if length else end))
        # The same bytes may be referenced many times, so that a small file expands to a large one.
        if sum(max(0, to - at) for at, to in spans) > len(data):
            raise ImageError("corrupt_image")
        yield item, tuple(spans)


def _sample_tables(data: bytes, start: int, end: int) -> Iterator[dict[bytes, Box]]:
    for box in boxes(data, start, end):
        if box.kind == b"stbl":
            yield {inner.kind: inner for inner in boxes(data, box.body, box.end)}
        elif box.kind in _CONTAINERS:
            yield from _sample_tables(data, box.body, box.end)


def _samples(data: bytes, table: dict[bytes, Box]) -> Iterator[Span]:
    """Yield where each sample is (ISO/IEC 14496-12, 8.7)."""
    offsets = table.get(b"stco") or table.get(b"co64")
    if not offsets or not {b"stsz", b"stsc"} <= table.keys():
        return
    sizes = _sample_sizes(data, table[b"stsz"])
    per_chunk = dict(_chunk_lengths(data, table[b"stsc"]))
    read = Reader(data, offsets.body + 4, offsets.end)
    count = 0
    for chunk in range(1, read.number(4) + 1):
        start = read.number(4 if offsets.kind == b"stco" else 8)
        count = per_chunk.get(chunk, count)
        for _ in range(count):
            size = next(sizes, None)
            if size is None:
                return
            yield start, start + size
            start += size


def _sample_sizes(data: bytes, box: Box) -> Iterator[int]:
    read = Reader(data, box.body + 4, box.end)
    same, count = read.number(4), read.number(4)
    if count > MAX_PARTS:
        raise ImageError("corrupt_image", "The file has far too many frames")
    for _ in range(count):
        yield same or read.number(4)


def _chunk_lengths(data: bytes, box: Box) -> Iterator[tuple[int, int]]:
    """Yield from which chunk on the chunks have how many samples."""
    read = Reader(data, box.body + 4, box.end)
    for _ in range(read.number(4)):
        first, count = read.number(4), read.number(4)
        read.number(4)
        yield first, count
