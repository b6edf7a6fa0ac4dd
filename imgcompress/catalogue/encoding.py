"""From bytes to text: which encoding a file has, and its text block by block."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

BLOCK_BYTES = 64 * 1024
REPLACEMENT = "\ufffd"

# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text, and what the whole of it was found to hold.

    Where `intact` is false some bytes break the rules of the encoding; in the text, REPLACEMENT
    stands for each of them.
    """

    name: str
    intact: bool = True
    has_nul: bool = False

    @property
    def wide(self) -> bool:
        """Tell whether a character takes several bytes, of which some are NUL."""
        return self.name.startswith(("utf-16", "utf-32"))


def detect_encoding(stream: BinaryIO) -> Encoding:
    """Find a file's encoding by its mark, else take UTF-8 if all of it fits, else cp1252.

    Reads the whole file, since the byte that is not UTF-8 may be the last.
    """
    stream.seek(0)
    marked = _encoding_of_head(stream.read(4))
    found = _tried(stream, marked or "utf-8")
    return found if found.intact or marked else _tried(stream, "cp1252")


def text_blocks(stream: BinaryIO, encoding: Encoding) -> Iterator[str]:
    """Yield the text of a whole file in blocks; the stream is neither wrapped nor closed."""
    return _decoded(stream, encoding.name, "strict" if encoding.intact else "replace")


def _encoding_of_head(head: bytes) -> str | None:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    # Without a mark, the first two characters of a table in UTF-16 still show: each is ASCII.
    if len(head) == 4 and head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    if len(head) == 4 and head[0] == head[2] == 0 and head[1] and head[3]:
        return "utf-16-be"
    return None


def _tried(stream: BinaryIO, name: str) -> Encoding:
    has_nul = False
    try:
        for text in _decoded(stream, name, "strict"):
            has_nul = has_nul or "\0" in text
    except UnicodeDecodeError:
        return Encoding(name, intact=False, has_nul=has_nul)
    return Encoding(name, has_nul=has_nul)


def _decoded(stream: BinaryIO, name: str, errors: str) -> Iterator[str]:
    stream.seek(0)
    return codecs.iterdecode(iter(partial(stream.read, BLOCK_BYTES), b""), name, errors)
