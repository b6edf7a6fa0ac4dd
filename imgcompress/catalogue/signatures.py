"""Tell what a file seems to be that is no CSV: by its first bytes, never by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 4096


@dataclass(frozen=True)
class ForeignKind:
    """A kind of file that is no CSV: its name, and what its owner can do."""

    name: str
    advice: str


_EXPORT = "Open it in a spreadsheet program and save it as CSV (UTF-8)."
_UNPACK = "Unpack it first, and upload the CSV inside."
_WRONG = "Choose the CSV file with the catalogue."

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", ForeignKind("a PNG image", _WRONG)),
    (b"\xff\xd8\xff", ForeignKind("a JPEG image", _WRONG)),
    (b"GIF8", ForeignKind("a GIF image", _WRONG)),
    (b"II*\0", ForeignKind("a TIFF image", _WRONG)),
    (b"MM\0*", ForeignKind("a TIFF image", _WRONG)),
    (b"%PDF-", ForeignKind("a PDF document", _WRONG)),
    (b"{\\rtf", ForeignKind("a rich-text document", _WRONG)),
    (b"SQLite format 3\0", ForeignKind("an SQLite database", _WRONG)),
    (b"PAR1", ForeignKind("a Parquet file", _WRONG)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", ForeignKind("an old Excel workbook (.xls)", _EXPORT)),
    (b"\x1f\x8b", ForeignKind("a gzip archive", _UNPACK)),
    (b"BZh9", ForeignKind("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\0", ForeignKind("an xz archive", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", ForeignKind("a Zstandard archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", ForeignKind("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", ForeignKind("a RAR archive", _UNPACK)),
)
_MARKUP = (
    (re.compile(rb"<(!doctype\s+html|html|head)\b", re.I), ForeignKind("an HTML page", _WRONG)),
    (re.compile(rb"<\?xml\b", re.I), ForeignKind("an XML document", _WRONG)),
    (re.compile(rb'[\[{]\s*["\[{}\]]'), ForeignKind("a JSON document", _WRONG)),
)
BINARY = ForeignKind("binary data", f"{_WRONG} If this is the right file, it is damaged: save it"
                                    " again.")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
# Text has next to none of these characters; of evenly spread bytes one in ten is one.
_BINARY_SHARE = 0.03


def foreign_kind(head: bytes) -> ForeignKind | None:
    """Return what a file seems to be by its first HEAD_BYTES, or None where it may be a CSV."""
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ForeignKind("a WebP image", _WRONG)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in _MARKUP if pattern.match(text)), None)


def is_binary(head: bytes) -> bool:
    """Tell whether the first bytes of a file that is not in UTF-16 or UTF-32 look like no text."""
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > len(head) * _BINARY_SHARE


def _zip_kind(head: bytes) -> ForeignKind:
    if b"xl/" in head:
        return ForeignKind("an Excel workbook (.xlsx)", _EXPORT)
    if b"opendocument.spreadsheet" in head:
        return ForeignKind("an OpenDocument spreadsheet (.ods)", _EXPORT)
    if b"[Content_Types].xml" in head:
        return ForeignKind("an Office document (.xlsx, .docx)", _EXPORT)
    return ForeignKind("a ZIP archive", _UNPACK)
