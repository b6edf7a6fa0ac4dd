"""The boxes of an AVIF file (ISO/IEC 14496-12, the ISO base media file format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from math import prod

from ...errors import ImageError
from . import heif
from .av1 import sequence_headers
from .heif import Box, pictures, samples

_PIXELS = frozenset((b"ftyp", b"meta", b"mdat", b"moov"))
_BOXES = _PIXELS | {b"free", b"skip", b"uuid", b"sidx", b"moof", b"mini"}
# Item types and properties that carry something other than pixels, or colours that are not sRGB.
_EXTRAS = (b"Exif", b"mime", b"uri ", b"xml ", b"prof", b"rICC", b"udta", b"uuid")

# A still picture may be the first frame of an animation too.
MOST_READ = 3


def boxes(data: bytes) -> Iterator[Box]:
    """Yield the top-level boxes, up to the first bytes that are no box.

    Raise ImageError `truncated_image` where the file ends within a box.
    """
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if kind not in _BOXES:
            return
        if length == 1 and position + 16 <= len(data):
            length, body = int.from_bytes(data[body : body + 8], "big"), body + 8
        end = position + length if length else len(data)
        if end > len(data) or end < body:
            raise ImageError("truncated_image")
        yield Box(kind, position, end, body)
        position = end


def decodable(data: bytes) -> bytes:
    """Return the file without what follows its boxes; raise ImageError `truncated_image`."""
    found = list(boxes(data))
    if not {b"mdat", b"mini"} & {box.kind for box in found}:
        raise ImageError("truncated_image")
    return data[: found[-1].end]


def coded_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of the largest picture, as its bitstream has them.

    The decoder makes that picture before it compares its size with what the file says of it. Raise
    ImageError where there is no picture, or where the file makes more of its bytes than there are.
    """
    data = decodable(data)
    found: list[tuple[int, int]] = []
    read = 0
    stills = (stream for _, stream in pictures(data, b"av01"))
    for stream in chain(stills, samples(data)):
        read += len(stream)
        if read > MOST_READ * len(data):
            raise ImageError("corrupt_image")
        found += [(header.width, header.height) for header in sequence_headers(stream)]
    if not found:
        raise ImageError("corrupt_image")
    return max(found, key=prod)


def colour_code(data: bytes) -> tuple[int, int] | None:
    """Return the codes of the primaries and of the transfer that the main picture is stored with.

    A box goes before the bitstream (ISO/IEC 14496-12, 12.1.5), even one that specifies nothing. An
    animation without items has them from its first frame.
    """
    code = heif.colour_code(data)
    if code:
        return code
    items = heif.read_items(data)
    shown = {items.main, *items.parts.get(items.main, ())} if items else set()
    stills = (stream for item, stream in pictures(data, b"av01") if item in shown)
    for stream in chain(stills, samples(data)):
        header = next(sequence_headers(stream), None)
        return header.colours if header else None
    return None


def strip(data: bytes) -> bytes | None:
    """Return the file if it has nothing but pixels, else None.

    Items refer to each other by offsets into the file: nothing can be taken out in passing.
    """
    found = list(boxes(data))
    clean = all(box.kind in _PIXELS for box in found) and not any(
        extra in data[box.start : box.end]
        for box in found
        if box.kind in (b"meta", b"moov")
        for extra in _EXTRAS
    )
    return decodable(data) if clean else None
