"""The chunks of a WebP file (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import ImageError

_PIXELS = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))
_ALPHA = 0x10
_ANIMATION_AND_ALPHA = 0x02 | _ALPHA
# Place, size, duration and flags, before the chunks of a frame.
_FRAME_HEAD = 16


@dataclass(frozen=True)
class Chunk:
    """One chunk: its type and data[start:end], without its header and padding."""

    kind: bytes
    start: int
    end: int


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of the RIFF file; raise ImageError `truncated_image` where it ends early."""
    end_of_file = 8 + int.from_bytes(data[4:8], "little")
    if end_of_file > len(data) + 1:
        raise ImageError("truncated_image")
    position = 12
    while position + 8 <= end_of_file:
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length
        if end > min(end_of_file, len(data)):
            raise ImageError("truncated_image")
        yield Chunk(kind, position + 8, end)
        position = end + length % 2


def size(data: bytes) -> tuple[int, int, int]:
    """Return width, height and the number of frames.

    Read here and not by Pillow, whose decoder reserves memory for the canvas as it opens a file.
    """
    found = list(chunks(data))
    if not found:
        raise ImageError("truncated_image")
    frames = sum(chunk.kind == b"ANMF" for chunk in found)
    width, height = _canvas(found[0].kind, data[found[0].start : found[0].start + 10])
    return width, height, max(1, frames)


def _canvas(kind: bytes, head: bytes) -> tuple[int, int]:
    if len(head) == 10 and kind == b"VP8X":
        return (1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little"))
    if len(head) == 10 and kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 6)
        return width & 0x3FFF, height & 0x3FFF
    if len(head) >= 5 and kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise ImageError("corrupt_image")


@dataclass(frozen=True)
class OnlyFrame:
    """The single frame of a file: as a still image, and where it lies on the canvas."""

    data: bytes
    left: int
    top: int
    width: int
    height: int


def only_frame(data: bytes) -> OnlyFrame | None:
    """Return the only frame of an animation of one, or the still image; None for more frames."""
    found = [chunk for chunk in chunks(data) if chunk.kind == b"ANMF"]
    if not found:
        return OnlyFrame(data, 0, 0, *size(data)[:2])
    if len(found) > 1 or found[0].end - found[0].start < _FRAME_HEAD:
        return None
    body = data[found[0].start : found[0].end]
    left, top, wide, high = (int.from_bytes(body[at : at + 3], "little") for at in range(0, 12, 3))
    canvas = bytes([_ALPHA, 0, 0, 0]) + body[6:12]
    file = _file(_packed(b"VP8X", canvas) + body[_FRAME_HEAD:])
    return OnlyFrame(file, 2 * left, 2 * top, wide + 1, high + 1)


def strip(data: bytes) -> bytes:
    """Return the same image or animation without EXIF, XMP, profile and unknown chunks."""
    body = b"".join(
        _packed(chunk.kind, _without_flags(chunk, data))
        for chunk in chunks(data)
        if chunk.kind in _PIXELS
    )
    return _file(body)


def _without_flags(chunk: Chunk, data: bytes) -> bytes:
    body = data[chunk.start : chunk.end]
    if chunk.kind == b"VP8X":
        return bytes([body[0] & _ANIMATION_AND_ALPHA]) + body[1:]
    return body


def _file(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
