"""Whether metadata tell that an image has to be turned to be seen upright."""

from __future__ import annotations

import struct

from .library import Facts

_ORIENTATION = 0x0112
_SHORT = 3
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def is_upright(data: bytes, facts: Facts) -> bool:
    """Tell whether the image is certainly upright as it is coded; doubts are left to others."""
    if facts.exif.size:
        try:
            turn = orientation(facts.exif.of(data))
        except (struct.error, KeyError):
            return False
        if turn is not None:
            return turn == 1
    return not facts.xmp.size or b"tiff:Orientation" not in facts.xmp.of(data)


def orientation(exif: bytes) -> int | None:
    """Return what EXIF says of the orientation (CIPA DC-008, 4.6), None where it says nothing.

    Raise struct.error or KeyError where it is damaged, or says it in an unusual way.
    """
    order = _ORDERS[exif[:4]]
    start, = struct.unpack_from(order + "I", exif, 4)
    count, = struct.unpack_from(order + "H", exif, start)
    for number in range(count):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * number)
        if tag == _ORIENTATION:
            if (kind, values) != (_SHORT, 1):
                raise KeyError(kind)
            return int(value)
    return None
