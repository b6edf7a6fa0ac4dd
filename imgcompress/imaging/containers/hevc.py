"""The size of the pictures in an HEVC bitstream (ITU-T H.265).

A decoder takes it from the sequence parameter set alone, whatever the file around it says.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ImageError
from .bits import Bits

# Profiles, levels and what stands before the size take 120 bytes at most.
MAX_HEADER_BYTES = 256
# A picture has at most 600 slices (A.4.2), each a unit of its own.
MAX_UNITS = 10_000

_PARAMETERS = 33


def frame_sizes(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size that each sequence parameter set of a stream has.

    Each unit of the stream is preceded by its length in four bytes (ISO/IEC 14496-15). Raise
    ImageError where it is broken, or has far more units than any honest picture.
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
        # Lengths of less than four bytes: nobody writes them.
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
    """Leave out profile_tier_level() (7.3.3)."""
    bits.number(96)
    present = [(bits.number(1), bits.number(1)) for _ in range(layers)]
    bits.number(2 * (8 - layers) if layers else 0)
    for has_profile, has_level in present:
        bits.number(88 * has_profile + 8 * has_level)
