"""EXIF, XMP and IPTC-IIM in each format: find them in a source, and insert them into an output.

Found metadata are untrusted, and never copied unchanged (see rights.py). Outputs are files of this
project's own encoders, whose layout is known.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import ImageError
from . import gif, heif, jpeg, png, webp

# Longer blocks are ignored: the rights of a picture never need that much.
MAX_BLOCK_BYTES = 1 << 18
# The most bytes that a format adds to two blocks, without and with the trailer of GIF's XMP.
OVERHEAD, GIF_OVERHEAD = 180, 300

_EXIF = b"Exif\0\0"
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_XMP_IN_GIF = b"XMP DataXMP"
# XMP Specification Part 3, 1.1.2: whichever of these bytes a decoder reads as a length, it ends at
# the last one.
_GIF_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
_IIM_RESOURCE = 0x0404
_XMP_TYPE = b"application/rdf+xml\0"


class Blocks(NamedTuple):
    """The metadata of a file: TIFF data, an XMP packet, IIM records; empty if there are none."""

    exif: bytes = b""
    xmp: bytes = b""
    iim: bytes = b""


def find(data: bytes, format: str) -> Blocks:
    """Return the metadata of a file. Raise ImageError if the file cannot be read.

    A TIFF is returned as its own EXIF, since its directory has the same tags.
    """
    found = dict[str, bytes]()
    if format == "tiff":
        return Blocks(exif=data)
    for name, block in _FINDERS[format](data) if format in _FINDERS else ():
        if len(block) <= MAX_BLOCK_BYTES:
            found.setdefault(name, block)
    return Blocks(**found)


def _in_jpeg(data: bytes) -> Iterator[tuple[str, bytes]]:
    for segment in jpeg.segments(data):
        body = data[segment.start + 4 : segment.end]
        if segment.marker == 0xE1 and body.startswith(_EXIF):
            yield "exif", body[len(_EXIF) :]
        elif segment.marker == 0xE1 and body.startswith(_XMP_SEGMENT):
            yield "xmp", body[len(_XMP_SEGMENT) :]
        elif segment.marker == 0xED and body.startswith(_PHOTOSHOP):
            yield "iim", _iim_of(body[len(_PHOTOSHOP) :])


def _iim_of(resources: bytes) -> bytes:
    """Return the IIM records among Photoshop's image resources."""
    position = 0
    while resources[position : position + 4] == b"8BIM" and position + 12 <= len(resources):
        (kind,) = struct.unpack_from(">H", resources, position + 4)
        # The name, with its length before it, has an even number of bytes.
        start = position + 6 + (resources[position + 6] + 2) // 2 * 2
        if start + 4 > len(resources):
            break
        (size,) = struct.unpack_from(">I", resources, start)
        if kind == _IIM_RESOURCE:
            return resources[start + 4 : start + 4 + size]
        position = start + 4 + size + size % 2
    return b""


def _in_png(data: bytes) -> Iterator[tuple[str, bytes]]:
    for chunk in png.chunks(data):
        body = data[chunk.start + 8 : chunk.end - 4]
        if chunk.kind == b"eXIf":
            yield "exif", body.removeprefix(_EXIF)
        elif chunk.kind == b"iTXt" and body.startswith(_XMP_KEYWORD):
            packed, method = body[len(_XMP_KEYWORD) : len(_XMP_KEYWORD) + 2].ljust(2, b"\1")
            # The language and the translated keyword, both of which XMP leaves empty.
            text = body[len(_XMP_KEYWORD) + 2 :].partition(b"\0")[2].partition(b"\0")[2]
            if packed and method == 0:
                try:
                    text = zlib.decompressobj().decompress(text, MAX_BLOCK_BYTES + 1)
                except zlib.error:
                    continue
            yield "xmp", text


def _in_webp(data: bytes) -> Iterator[tuple[str, bytes]]:
    for chunk in webp.chunks(data):
        body = data[chunk.start : chunk.end]
        if chunk.kind == b"EXIF":
            yield "exif", body.removeprefix(_EXIF)
        elif chunk.kind == b"XMP ":
            yield "xmp", body


def _in_gif(data: bytes) -> Iterator[tuple[str, bytes]]:
    for block in gif.blocks(data):
        if data[block.start + 2 : block.start + 14] == b"\x0b" + _XMP_IN_GIF:
            yield "xmp", data[block.start + 14 : block.end].partition(b"\x01\xff\xfe")[0]


def _in_heif(data: bytes) -> Iterator[tuple[str, bytes]]:
    for _, item in heif.pictures(data, b"Exif"):
        # Four bytes say how many more precede the TIFF data.
        yield "exif", item[4 + int.from_bytes(item[:4], "big") :]
    for _, item in heif.pictures(data, b"mime"):
        yield "xmp", item


_FINDERS = {
    "jpeg": _in_jpeg,
    "png": _in_png,
    "webp": _in_webp,
    "gif": _in_gif,
    "avif": _in_heif,
    "heif": _in_heif,
}


def inserted(data: bytes, format: str, exif: bytes, xmp: bytes) -> bytes:
    """Return an output of this project's encoders with EXIF (TIFF data) and XMP, if not empty.

    GIF has only XMP.
    """
    return _INSERTERS[format](data, exif, xmp)


def _into_jpeg(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    first = next(jpeg.segments(data))
    at = first.end if first.marker == 0xE0 else 2
    bodies = (exif and _EXIF + exif, xmp and _XMP_SEGMENT + xmp)
    segments = b"".join(struct.pack(">HH", 0xFFE1, len(body) + 2) + body for body in bodies if body)
    return data[:at] + segments + data[at:]


def _into_png(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    # Neither packed nor in a language.
    parts = ((b"eXIf", exif), (b"iTXt", xmp and _XMP_KEYWORD + bytes(4) + xmp))
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
        if body
    )
    at = next(png.chunks(data)).end
    return data[:at] + added + data[at:]


# The flags of VP8X (RFC 9649, 2.7.1).
_ALPHA, _HAS_EXIF, _HAS_XMP = 0x10, 0x08, 0x04


def _into_webp(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    first = next(webp.chunks(data))
    body = data[12:]
    if first.kind != b"VP8X":
        width, height, _ = webp.size(data)
        # The header of VP8L has a bit for alpha behind width and height; VP8 alone has none.
        has_alpha = first.kind == b"VP8L" and data[first.start + 4] & 0x10
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        extended = bytes([_ALPHA if has_alpha else 0, 0, 0, 0]) + sides
        body = _riff(b"VP8X", extended) + body
    flags = body[8] | (_HAS_EXIF if exif else 0) | (_HAS_XMP if xmp else 0)
    body = body[:8] + bytes([flags]) + body[9:]
    body += (_riff(b"EXIF", exif) if exif else b"") + (_riff(b"XMP ", xmp) if xmp else b"")
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _into_gif(data: bytes, _exif: bytes, xmp: bytes) -> bytes:
    if not xmp:
        return data
    at = next(gif.blocks(data)).start
    header = b"GIF89a" + data[6:at]
    return header + b"\x21\xff\x0b" + _XMP_IN_GIF + xmp + _GIF_TRAILER + data[at:]


def _into_avif(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    """Add items of metadata to what libavif wrote (ISO/IEC 23008-12, annex A).

    They are in a separate box at the end. Absolute offsets in the file move by as much as the list
    of items grows.
    """
    boxes = list(heif.boxes(data, 0, len(data)))
    meta = next(box for box in boxes if box.kind == b"meta")
    parts = {
        box.kind: data[box.start : box.end] for box in heif.boxes(data, meta.body + 4, meta.end)
    }
    new = [(b"Exif", b"", bytes(4) + exif)] if exif else []
    new += [(b"mime", _XMP_TYPE, xmp)] if xmp else []
    (primary,) = struct.unpack_from(">H", parts[b"pitm"], 12)
    (count,) = struct.unpack_from(">H", parts[b"iinf"], 12)
    first = count + 1
    infos = b"".join(
        _box(b"infe", b"\2\0\0\0" + struct.pack(">HH", first + n, 0) + kind + b"\0" + content)
        for n, (kind, content, _) in enumerate(new)
    )
    references = b"".join(
        _box(b"cdsc", struct.pack(">HHH", first + n, 1, primary)) for n in range(len(new))
    )
    known = parts.get(b"iref", _box(b"iref", bytes(4)))
    grown = {
        b"iinf": _box(
            b"iinf",
            parts[b"iinf"][8:12]
            + struct.pack(">H", count + len(new))
            + parts[b"iinf"][14:]
            + infos,
        ),
        b"iref": _box(b"iref", known[8:] + references),
    }
    # Each item in iloc takes its number, the index of the data, a number of extents, and one extent.
    entry = 14 + (2 if parts[b"iloc"][8] else 0)
    by = sum(len(box) - len(parts.get(kind, b"")) for kind, box in grown.items()) + entry * len(new)
    end = len(data) + by + 8
    grown[b"iloc"] = _moved_locations(
        parts[b"iloc"], by, first, [len(body) for *_, body in new], end
    )
    listed = b"".join(grown.get(kind, box) for kind, box in (parts | grown).items())
    others = b"".join(
        _box(b"meta", data[meta.body : meta.body + 4] + listed)
        if box is meta
        else _moved_chunks(data[box.start : box.end], by)
        if box.kind == b"moov"
        else data[box.start : box.end]
        for box in boxes
    )
    return others + _box(b"mdat", b"".join(body for *_, body in new))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _moved_locations(box: bytes, by: int, first: int, sizes: list[int], end: int) -> bytes:
    """Return iloc with all offsets moved, and with new items one after the other from `end` on."""
    version, lengths = box[8], struct.unpack_from(">H", box, 12)[0]
    if version > 1 or lengths & 0xFFF0 != 0x4400:
        raise ImageError("internal_error", detail="an AVIF has an unknown layout")
    (count,) = struct.unpack_from(">H", box, 14)
    at, entries = 16, b""
    for _ in range(count):
        head = box[at : at + 6 + 2 * version]
        at += len(head)
        (extents,) = struct.unpack_from(">H", head, len(head) - 2)
        is_in_file = not version or head[3] & 15 == 0
        entries += head
        for _ in range(extents):
            offset, length = struct.unpack_from(">II", box, at)
            at += 8
            entries += struct.pack(">II", offset + by * is_in_file, length)
    for number, size in enumerate(sizes):
        method = bytes(2) if version else b""
        entries += (
            struct.pack(">H", first + number) + method + struct.pack(">HHII", 0, 1, end, size)
        )
        end += size
    return _box(b"iloc", box[8:14] + struct.pack(">H", count + len(sizes)) + entries)


def _moved_chunks(moov: bytes, by: int) -> bytes:
    """Return the tracks with the places of their chunks moved."""
    moved = bytearray(moov)
    for table in heif.chunk_offsets(moov):
        (count,) = struct.unpack_from(">I", moov, table.body + 4)
        for number in range(count):
            at = table.body + 8 + 4 * number
            struct.pack_into(">I", moved, at, struct.unpack_from(">I", moov, at)[0] + by)
    return bytes(moved)


_INSERTERS = {
    "jpeg": _into_jpeg,
    "png": _into_png,
    "webp": _into_webp,
    "gif": _into_gif,
    "avif": _into_avif,
}
