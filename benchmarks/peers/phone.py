"""What phones write into a JPEG beside its pixels: EXIF with a thumbnail, and a colour profile."""

from __future__ import annotations

import io
import random
import struct

from PIL import Image

# A sample that has the profile of Adobe RGB.
ADOBE_RGB_SAMPLE = "rocket.jpg"
MAKER_NOTES_BYTES = 30_000
THUMBNAIL = (160, 120)
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
# Tags of EXIF (CIPA DC-008, 4.6).
_COMPRESSION, _ORIENTATION, _THUMBNAIL, _THUMBNAIL_BYTES = 0x0103, 0x0112, 0x0201, 0x0202
_EXIF_IFD, _MAKER_NOTE = 0x8769, 0x927C
_JPEG = 6


def exif_of_phone(photo: Image.Image, turn: int) -> bytes:
    """Return an EXIF segment's content: an orientation, maker notes, and a thumbnail."""
    small = photo.copy()
    small.thumbnail(THUMBNAIL)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75)
    notes, thumbnail = random.Random(1).randbytes(MAKER_NOTES_BYTES), file.getvalue()
    # Each directory has a count, entries of 12 bytes, and the place of the next directory.
    first = 8
    second = first + 2 + 2 * 12 + 4
    third = second + 2 + 12 + 4
    notes_at = third + 2 + 3 * 12 + 4
    thumbnail_at = notes_at + len(notes)
    return b"".join(
        [
            b"Exif\0\0II*\0" + struct.pack("<I", first),
            _directory([(_ORIENTATION, _SHORT, 1, turn), (_EXIF_IFD, _LONG, 1, second)], third),
            _directory([(_MAKER_NOTE, _UNDEFINED, len(notes), notes_at)], 0),
            _directory(
                [
                    (_COMPRESSION, _SHORT, 1, _JPEG),
                    (_THUMBNAIL, _LONG, 1, thumbnail_at),
                    (_THUMBNAIL_BYTES, _LONG, 1, len(thumbnail)),
                ],
                0,
            ),
            notes,
            thumbnail,
        ]
    )


def _directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    packed = (struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + b"".join(packed) + struct.pack("<I", following)


# The primaries of Display P3 under D50 as X, Y, Z, and the curve of sRGB (IEC 61966-2-1).
_PRIMARIES = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
_D50 = (0.96420, 1.0, 0.82491)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def display_p3() -> bytes:
    """Return a profile of Display P3, as ICC.1:2010 wants it."""
    curve = b"para\0\0\0\0\0\3\0\0" + _fixed(_SRGB_CURVE)
    tags = {name: b"XYZ \0\0\0\0" + _fixed(xyz) for name, xyz in _PRIMARIES.items()}
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    tags |= {b"wtpt": b"XYZ \0\0\0\0" + _fixed(_D50)}
    tags |= {b"desc": _text("Display P3"), b"cprt": _text("CC0")}
    start = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value + bytes(-len(value) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", start + len(content), b"", 0x04000000, b"mntr", b"RGB ", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + table + content


def _fixed(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(encoded), 28) + encoded
