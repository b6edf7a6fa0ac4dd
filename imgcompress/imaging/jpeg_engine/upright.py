"""The orientation of an image by its metadata, to show it upright."""

from __future__ import annotations

import struct

from .library import Facts

_ORIENTATION = 0x0112
_SHORT = 3
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def turn_of(data: bytes, facts: Facts) -> int | None:
    """Return the orientation of the image, 1 to 8; None in doubt, which is left to others."""
    if facts.exif.size:
        try:
            turn = _orientation(facts.exif.of(data))
        except (struct.error, KeyError):
            return None
        if turn is not None:
            return turn if 1 <= turn <= 8 else 1
    if facts.xmp.size and b"tiff:Orientation" in facts.xmp.of(data):
        return None
    return 1


def _orientation(exif: bytes) -> int | None:
    """Return what EXIF says of the orientation (CIPA DC-008, 4.6), None where it says nothing.

    Raise struct.error or KeyError where it is damaged, or says it in an unusual way.
    """
    order = _ORDERS[exif[:4]]
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, start)
    for number in range(count):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * number)
        if tag == _ORIENTATION:
            if (kind, values) != (_SHORT, 1):
                raise KeyError(kind)
            return int(value)
    return None
