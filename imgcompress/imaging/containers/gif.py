"""The blocks of a GIF file (GIF89a specification, and Netscape's looping extension)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import ImageError

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_GRAPHIC_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOPS = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")


@dataclass(frozen=True)
class Block:
    """One block, data[start:end]: an image with its pixels, or an extension with its label."""

    kind: int
    label: int
    start: int
    end: int


def blocks(data: bytes) -> Iterator[Block]:
    """Yield the blocks between the header and the trailer; a file may lack the trailer.

    Raise ImageError `truncated_image` where the data end within a block.
    """
    position = _end_of_header(data)
    while position < len(data) and data[position] != _TRAILER:
        block = _block(data, position)
        yield block
        position = block.end


def _end_of_header(data: bytes) -> int:
    if len(data) < 13:
        raise ImageError("truncated_image")
    return 13 + _color_table_bytes(data[10])


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _block(data: bytes, start: int) -> Block:
    kind = data[start]
    if kind == _EXTENSION:
        label = data[start + 1] if start + 1 < len(data) else 0
        return Block(kind, label, start, _end_of_sub_blocks(data, start + 2))
    if kind == _IMAGE and start + 10 < len(data):
        pixels = start + 11 + _color_table_bytes(data[start + 9])
        return Block(kind, 0, start, _end_of_sub_blocks(data, pixels))
    raise ImageError("truncated_image" if kind == _IMAGE else "corrupt_image")


def _end_of_sub_blocks(data: bytes, position: int) -> int:
    try:
        while length := data[position]:
            position += 1 + length
    except IndexError:
        raise ImageError("truncated_image") from None
    return position + 1


def size(data: bytes) -> tuple[int, int, int]:
    """Return the width and height of the area that holds all frames, and their number."""
    if len(data) < 13:
        raise ImageError("truncated_image")
    width, height = struct.unpack_from("<HH", data, 6)
    frames = 0
    for block in blocks(data):
        if block.kind == _IMAGE:
            left, top, wide, high = struct.unpack_from("<HHHH", data, block.start + 1)
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
    return width, height, max(1, frames)


def strip(data: bytes) -> bytes:
    """Return the same image or animation without comments, texts and private extensions."""
    kept = b"".join(
        data[block.start : block.end] for block in blocks(data) if _makes_pixels(data, block)
    )
    return data[: _end_of_header(data)] + kept + bytes([_TRAILER])


def _makes_pixels(data: bytes, block: Block) -> bool:
    if block.kind == _IMAGE or block.label == _GRAPHIC_CONTROL:
        return True
    loop = data[block.start + 2 : block.start + 14]
    return block.label == _APPLICATION and loop in _LOOPS and block.end - block.start == 19
