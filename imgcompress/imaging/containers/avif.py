"""AVIF files: their boxes (ISO/IEC 14496-12, the ISO base media file format), and AV1 inside.

A decoder takes the size of the frames from the sequence headers of the bitstream alone (AV1
Bitstream & Decoding Process Specification), whatever the file around them says.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from math import prod
from typing import NamedTuple

from ...errors import ImageError
from . import heif
from .heif import Bits, Box, pictures, samples

# A picture may have 4,096 tiles, each in a unit of its own.
MAX_UNITS = 10_000
# 32 operating points of at most 84 bits each, and what stands around them.
MAX_HEADER_BYTES = 512

_SEQUENCE_HEADER = 1


class SequenceHeader(NamedTuple):
    """The largest width and height of a frame, and the colours where the header names them.

    `colours` are the codes of the primaries and of the transfer (CICP, ITU-T H.273).
    """

    width: int
    height: int
    colours: tuple[int, int] | None


def sequence_headers(stream: bytes) -> Iterator[SequenceHeader]:
    """Yield each sequence header of a bitstream.

    Raise ImageError if it is broken, or has far more units than any real picture.
    """
    position = 0
    for _ in range(MAX_UNITS):
        if position >= len(stream):
            return
        kind, start, position = _unit(stream, position)
        if kind == _SEQUENCE_HEADER:
            yield _sequence_header(Bits(stream[start : min(position, start + MAX_HEADER_BYTES)]))
    raise ImageError("corrupt_image", "The AVIF has far too many units")


def _unit(stream: bytes, position: int) -> tuple[int, int, int]:
    """Return the type of an open bitstream unit, and where its content begins and ends (5.3)."""
    header = stream[position]
    start = position + (2 if header & 4 else 1)
    size = len(stream) - start
    if header & 2:
        size, start = _size(stream, start)
    return header >> 3 & 15, start, start + max(0, size)


def _size(stream: bytes, position: int) -> tuple[int, int]:
    """Return a number of 7 bits per byte, and where it ends: leb128() of section 4.10.5."""
    size = 0
    for number, byte in enumerate(stream[position : position + 8]):
        size |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return size, position + number + 1
    raise ImageError("truncated_image")


def _sequence_header(bits: Bits) -> SequenceHeader:
    """Read a header up to its colours (section 5.5.1)."""
    profile = bits.number(3)
    bits.number(1)
    reduced = bits.number(1)
    if reduced:
        bits.number(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.number(4) + 1, bits.number(4) + 1
    width, height = bits.number(width_bits) + 1, bits.number(height_bits) + 1
    if not reduced and bits.number(1):
        bits.number(7)  # How long the numbers of frames are.
    bits.number(3)  # Superblocks, and two tools for predictions within a frame.
    if not reduced:
        _skip_inter_tools(bits)
    bits.number(3)  # Three filters.
    return SequenceHeader(width, height, _colours(bits, profile))


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = _skip_timing(bits)
    has_display_delay = bits.number(1)
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:
            bits.number(1)
        if delay_bits and bits.number(1):
            bits.number(2 * delay_bits + 1)
        if has_display_delay and bits.number(1):
            bits.number(4)


def _skip_timing(bits: Bits) -> int:
    """Skip the timing; return the number of bits of a delay, 0 if there are no delays."""
    if not bits.number(1):
        return 0
    bits.number(64)
    if bits.number(1):
        bits.variable_length()
    if not bits.number(1):
        return 0
    delay_bits = bits.number(5) + 1
    bits.number(42)
    return delay_bits


def _skip_inter_tools(bits: Bits) -> None:
    """Skip the tools for predictions between frames, which a reduced header does not list."""
    bits.number(4)
    has_order_hint = bits.number(1)
    if has_order_hint:
        bits.number(2)
    # Screen content tools are chosen by each frame, or forced on or off.
    if (bits.number(1) or bits.number(1)) and not bits.number(1):
        bits.number(1)
    if has_order_hint:
        bits.number(3)


def _colours(bits: Bits, profile: int) -> tuple[int, int] | None:
    """Return the codes of the primaries and of the transfer, if there are any (section 5.5.2)."""
    high_bit_depth = bits.number(1)
    if profile == 2 and high_bit_depth:
        bits.number(1)
    # Profile 1, that of 4:4:4, has no greyscale.
    if profile != 1:
        bits.number(1)
    return (bits.number(8), bits.number(8)) if bits.number(1) else None


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
