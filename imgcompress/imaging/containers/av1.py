"""The sequence headers of an AV1 bitstream (AV1 Bitstream & Decoding Process Specification).

A decoder takes the size of the frames from them alone, whatever the file around them says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...errors import ImageError
from .bits import Bits

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

    Raise ImageError where it is broken, or has far more units than any honest picture.
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
    """Leave out the timing; return the number of bits of a delay, 0 if there are no delays."""
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
    """Leave out the tools for predictions between frames, which a reduced header does not list."""
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
