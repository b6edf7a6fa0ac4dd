"""What an image says about its creator, its copyright and its licence, to be kept in its output.

None of the source's metadata is passed on as it is. The few texts that are kept are read, cleaned,
shortened, and written again: what came in EXIF goes out in EXIF, what came in XMP or in IPTC-IIM
goes out in XMP. Of all else, such as places, serial numbers and thumbnails, nothing is read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from ..errors import ImageError
from .containers import has_payload
from .containers.metadata import GIF_OVERHEAD, OVERHEAD, Blocks, find, inserted
from .probe import identify

MAX_CHARS = 1_000
MAX_CREATORS = 10
MAX_CREATOR_CHARS = 200
# Directories of cameras have some dozens of entries.
MAX_ENTRIES = 500
MAX_RECORDS = 500

# TIFF 6.0, and Adobe's XMP Specification Part 3 for the last two.
_ARTIST, _COPYRIGHT, _XMP, _IIM = 315, 33432, 700, 33723
# Bytes per value of the types that texts come in: BYTE, ASCII, LONG (of IIM), UNDEFINED and UTF-8.
_TYPES = {1: 1, 2: 1, 4: 4, 7: 1, 129: 1}
# IPTC-IIM 4.2: character set, by-line, copyright notice.
_CHARSET, _BY_LINE, _NOTICE = (1, 90), (2, 80), (2, 116)
_UTF_8 = b"\x1b%G"

_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "cc": "http://creativecommons.org/ns#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_URL = re.compile(r"https?://[!#-;=?-Z\[\]_a-z~%]{1,500}")
# The names in IPTC's list consist of letters.
_SOURCE_TYPE = re.compile(
    r"https?://cv\.iptc\.org/newscodes/digitalsourcetype/[A-Za-z]{1,60}", re.ASCII
)


@dataclass(frozen=True)
class Rights:
    """The blocks of metadata that an output gets: TIFF data for EXIF, and an XMP packet."""

    exif: bytes
    xmp: bytes

    def bytes_in(self, format: str) -> int:
        """Return how many bytes an output of this format grows by at most; 0 for nothing."""
        if not self.exif and not self.xmp:
            return 0
        return len(self.exif) + len(self.xmp) + (GIF_OVERHEAD if format == "gif" else OVERHEAD)

    def put_into(self, data: bytes, format: str) -> bytes:
        """Return an output of this project's encoders with these blocks."""
        return inserted(data, format, self.exif, self.xmp)


def rights_of(data: bytes) -> Rights:
    """Return the rights that a source states; nothing if they cannot be read.

    A GIF, which has no place for EXIF, gets all in XMP.
    """
    try:
        format = identify(data)
        blocks = find(data, format)
    except (ImageError, struct.error):
        return Rights(b"", b"")
    tags = dict(_tags(blocks.exif))
    if format == "tiff":
        blocks = Blocks(xmp=tags.get(_XMP, b""), iim=tags.get(_IIM, b""))
    artist = _cleaned(_text(tags.get(_ARTIST, b"").rstrip(b"\0")))
    notice = _cleaned(_text(tags.get(_COPYRIGHT, b"").replace(b"\0", b" ")))
    found = _of_iim(blocks.iim) | _of_xmp(blocks.xmp)
    return Rights(_exif({_ARTIST: artist, _COPYRIGHT: notice}), _packet(found))


def _tags(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the values of the first directory of TIFF data that are wanted here."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, start)
    for number in range(min(count, MAX_ENTRIES, (len(data) - start - 2) // 12)):
        at = start + 2 + 12 * number
        tag, kind, values, place = struct.unpack_from(order + "HHII", data, at)
        if tag not in (_ARTIST, _COPYRIGHT, _XMP, _IIM) or kind not in _TYPES:
            continue
        size = values * _TYPES[kind]
        place = at + 8 if size <= 4 else place
        yield tag, data[place : place + size]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _cleaned(text: str, most: int = MAX_CHARS) -> str:
    """Return a text on one line without control characters, cut to `most`.

    Nothing remains of one that another program could execute; see has_payload().
    """
    # What is not text: control and private characters, and lone surrogates.
    text = "".join(char if char.isprintable() else " " for char in text[: most * 4])
    text = " ".join(text.split())[:most].strip()
    return "" if has_payload(text.encode()) else text


def _of_iim(data: bytes) -> dict[str, list[str]]:
    """Return by-lines and the copyright notice (IPTC-IIM 4.2, chapter 1.6)."""
    found: dict[str, list[str]] = {}
    is_utf8, position = False, 0
    for _ in range(MAX_RECORDS):
        if data[position : position + 1] != b"\x1c" or position + 5 > len(data):
            break
        record, kind, size = struct.unpack_from(">BBH", data, position + 1)
        # The highest bit announces a size of more bytes, which no text needs.
        if size & 0x8000:
            break
        body, position = data[position + 5 : position + 5 + size], position + 5 + size
        is_utf8 |= (record, kind) == _CHARSET and body == _UTF_8
        text = body.decode(errors="ignore") if is_utf8 else _text(body)
        if (record, kind) == _BY_LINE:
            found.setdefault("dc:creator", []).append(text)
        elif (record, kind) == _NOTICE:
            found["dc:rights"] = [text]
    return found


def _of_xmp(packet: bytes) -> dict[str, list[str]]:
    """Return the properties of an XMP packet that say something of its rights.

    Those of other pictures, which a packet may list as what this one was made of, are not read. A
    packet with a document type is rejected, since its entities could expand without limit.
    """
    try:
        text = packet.decode().strip().strip("\0")
        if not text or "<!DOCTYPE" in text or "<!ENTITY" in text:
            return {}
        root = ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        return {}
    rdf = "{" + _NAMESPACES["rdf"] + "}"
    found: dict[str, list[str]] = {}
    about = root if root.tag == f"{rdf}RDF" else root.find(f"{rdf}RDF")
    for description in about.findall(f"{rdf}Description") if about is not None else ():
        for name in _PROPERTIES:
            prefix, _, local = name.partition(":")
            tag = f"{{{_NAMESPACES[prefix]}}}{local}"
            values = [description.get(tag)]
            if (element := description.find(tag)) is not None:
                values += [element.text, element.get(f"{rdf}resource")]
                values += [item.text for item in element.iter(f"{rdf}li")]
            if texts := [value for value in values if value and value.strip()]:
                found.setdefault(name, texts)
    return found


_PROPERTIES = (
    "dc:creator",
    "dc:rights",
    "xmpRights:UsageTerms",
    "xmpRights:WebStatement",
    "cc:license",
    "Iptc4xmpExt:DigitalSourceType",
)


def _exif(texts: dict[int, str]) -> bytes:
    """Return TIFF data with these tags (CIPA DC-008, 4.6), or nothing."""
    values = [(tag, text.encode() + b"\0") for tag, text in sorted(texts.items()) if text]
    if not values:
        return b""
    entries, rest = b"", b""
    after = 8 + 2 + 12 * len(values) + 4
    for tag, value in values:
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", after + len(rest))
        entries += struct.pack("<HHI", tag, 2, len(value)) + place
        if len(value) > 4:
            # Values begin at even places.
            rest += value + b"\0" * (len(value) % 2)
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4) + rest


def _packet(found: dict[str, list[str]]) -> bytes:
    """Return an XMP packet with what remains of these texts once they are cleaned, or nothing."""
    creators = [_cleaned(text, MAX_CREATOR_CHARS) for text in found.get("dc:creator", ())]
    properties = [_list("dc:creator", "Seq", [c for c in creators if c][:MAX_CREATORS])]
    for name in ("dc:rights", "xmpRights:UsageTerms"):
        texts = [_cleaned(text) for text in found.get(name, ())[:1]]
        properties.append(_list(name, "Alt", [text for text in texts if text]))
    for name, pattern, written in (
        ("xmpRights:WebStatement", _URL, "<{0}>{1}</{0}>"),
        ("cc:license", _URL, "<{0} rdf:resource={2}/>"),
        ("Iptc4xmpExt:DigitalSourceType", _SOURCE_TYPE, "<{0}>{1}</{0}>"),
    ):
        for text in found.get(name, ())[:1]:
            text = text.strip()
            if pattern.fullmatch(text) and not has_payload(text.encode()):
                properties.append(written.format(name, escape(text), quoteattr(text)))
    body = "".join(properties)
    if not body:
        return b""
    spaces = "".join(
        f' xmlns:{prefix}="{name}"'
        for prefix, name in _NAMESPACES.items()
        if prefix == "rdf" or f"<{prefix}:" in body
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF{spaces}><rdf:Description rdf:about="">'
        f'{body}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _list(name: str, kind: str, texts: list[str]) -> str:
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{escape(text)}</rdf:li>" for text in texts)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>" if items else ""
