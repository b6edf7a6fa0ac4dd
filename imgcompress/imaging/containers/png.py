"""The chunks of a PNG file (W3C PNG, third edition, section 5), APNG's among them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import ImageError
from ..colours import HighRange, Primaries, from_cicp, from_gamma

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# An encoder that writes 256 bytes per IDAT fills the byte limit of 25 MiB with about this many.
MAX_CHUNKS = 100_000
MAX_PROFILE_BYTES = 1 << 20

IEND = b"\0\0\0\0IEND\xaeB`\x82"
_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"))
_CRITICAL = _PIXELS - {b"tRNS"}
_NUMBERS = frozenset((b"cICP", b"sRGB", b"gAMA", b"cHRM"))
_COLOURS = _NUMBERS | {b"iCCP"}
_ANCILLARY = frozenset((b"tRNS", b"iCCP", b"eXIf"))
_NEEDED_TO_DECODE = _PIXELS | _ANCILLARY


@dataclass(frozen=True)
class Chunk:
    """One chunk, data[start:end], with its length, type and checksum."""

    kind: bytes
    start: int
    end: int


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to IEND, which may be missing if the file ends behind its pixels.

    Raise ImageError `truncated_image` if the file ends before that, or within a chunk.
    """
    position = len(SIGNATURE)
    has_pixels = False
    for _ in range(MAX_CHUNKS):
        if position + 12 > len(data):
            # The rest may be a part of IEND, which has 12 bytes.
            if has_pixels and IEND.startswith(data[position:]):
                return
            raise ImageError("truncated_image")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ImageError("truncated_image")
        yield Chunk(kind, position, end)
        if kind == b"IEND":
            return
        has_pixels |= kind == b"IDAT"
        position = end
    raise ImageError("corrupt_image", "The PNG has far too many chunks")


def size(data: bytes) -> tuple[int, int, int]:
    """Return width, height and the number of frames that the file announces."""
    if data[12:16] != b"IHDR" or len(data) < 24:
        raise ImageError("corrupt_image")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height, _frames(data)


def _frames(data: bytes) -> int:
    for chunk in chunks(data):
        if chunk.kind == b"acTL" and chunk.end - chunk.start == 20:
            return max(1, int.from_bytes(data[chunk.start + 8 : chunk.start + 12], "big"))
        if chunk.kind == b"IDAT":
            break
    return 1


def colours(data: bytes) -> bytes | HighRange | None:
    """Return the colours that the file describes by cICP, sRGB, or gAMA with cHRM.

    cICP goes before a profile (iCCP), a profile before sRGB, and sRGB before the other two (PNG,
    third edition, 12.1). None where there is none of them, or a profile.
    """
    found: dict[bytes, bytes] = {}
    for chunk in chunks(data):
        if chunk.kind == b"IDAT":
            break
        if chunk.kind in _COLOURS and not _is_damaged(chunk, data):
            found.setdefault(chunk.kind, data[chunk.start + 8 : chunk.end - 4])
    code, gamma, points = (found.get(kind, b"") for kind in (b"cICP", b"gAMA", b"cHRM"))
    if len(code) == 4:
        return from_cicp(code[0], code[1])
    if b"sRGB" in found and b"iCCP" not in found:
        return b""
    if b"iCCP" in found or len(gamma) != 4 or len(points) != 32:
        return None
    numbers = [number / 100_000 for number in struct.unpack(">8I", points)]
    (exponent,) = struct.unpack(">I", gamma)
    try:
        pairs = zip(numbers[::2], numbers[1::2])
        return from_gamma(100_000 / exponent, Primaries(*pairs))
    except (ValueError, ArithmeticError, struct.error):
        return None


def decodable(data: bytes) -> bytes:
    """Return the file without the chunks that decoding does not need, and with its end.

    Texts are left out before Pillow sees them, because it unpacks up to 64 MiB of them; so is a
    colour profile that unpacks to more than MAX_PROFILE_BYTES, and what the pixels can do without
    if its checksum is wrong, as libpng and browsers do. An orientation counts only before the
    pixels, as the specification requires (11.3.3.5) and browsers expect.
    """
    kept: list[bytes] = []
    has_pixels = False
    for chunk in chunks(data):
        has_pixels |= chunk.kind == b"IDAT"
        if chunk.kind not in _NEEDED_TO_DECODE or has_pixels and chunk.kind == b"eXIf":
            continue
        if chunk.kind in _ANCILLARY and _is_damaged(chunk, data):
            continue
        if chunk.kind == b"iCCP" and _is_oversized(data[chunk.start + 8 : chunk.end - 4]):
            continue
        kept.append(data[chunk.start : chunk.end])
    if kept[-1] != IEND:
        kept.append(IEND)
    return SIGNATURE + b"".join(kept)


def _is_damaged(chunk: Chunk, data: bytes) -> bool:
    checksum = int.from_bytes(data[chunk.end - 4 : chunk.end], "big")
    return zlib.crc32(data[chunk.start + 4 : chunk.end - 4]) != checksum


def _is_oversized(body: bytes) -> bool:
    _, _, packed = body.partition(b"\0")
    try:
        profile = zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return True
    return len(profile) >= MAX_PROFILE_BYTES


def strip(data: bytes, kept: frozenset[bytes] = _PIXELS) -> bytes:
    """Return the same image with only the chunks for its pixels and its animation."""
    parts = [
        data[chunk.start : chunk.end]
        for chunk in chunks(data)
        if chunk.kind in kept and not (chunk.kind not in _CRITICAL and _is_damaged(chunk, data))
    ]
    if parts[-1] != IEND:
        parts.append(IEND)
    return SIGNATURE + b"".join(parts)


def strip_but_colours(data: bytes) -> bytes | None:
    """Return the same image with the numbers that describe its colours.

    None if there are none, or a profile.
    """
    return strip(data, _PIXELS | _NUMBERS) if colours(data) else None
