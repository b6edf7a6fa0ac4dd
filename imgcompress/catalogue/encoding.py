"""From bytes to text: which encoding a file has, and its text block by block."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from .old_encodings import likely_encoding

BLOCK_BYTES = 64 * 1024
REPLACEMENT = "\ufffd"
# How bytes are read that stray into a file in UTF-8.
STRAY = "imgcompress.stray"
# Of a file in UTF-8 with stray bytes, most of what is not ASCII is still good.
_GOOD_FOR_EACH_STRAY = 2

# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Python counts these among the encodings of text too.
_NO_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7", "mbcs", "oem",
            "undefined"}
# Within a quoted cell a mark stands before a separator, before a mark, or at the end.
_BLANK_BEFORE_QUOTE = re.compile(r"([,;\t|]) +\"[^\",;\t|\r\n ]")


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes become text, and what the whole of it was found to hold.

    Where `intact` is false some bytes break the rules of the encoding; in the text, REPLACEMENT
    stands for each of them. `errors` is what Python calls its way with such bytes.
    `blanks_before_quotes` are the separators behind which a blank and a quotation mark were seen.
    """

    name: str
    intact: bool = True
    has_nul: bool = False
    errors: str = "strict"
    blanks_before_quotes: str = ""

    @property
    def wide(self) -> bool:
        """Tell whether a character takes several bytes, of which some are NUL."""
        return self.name.startswith(("utf-16", "utf-32"))


def detect_encoding(stream: BinaryIO, named: str | None = None) -> Encoding:
    """Find a file's encoding: that of its mark, else the one that the caller named, else UTF-8.

    What does not fit UTF-8 is UTF-8 with a few stray bytes, or else an older encoding. Reads the
    whole file, since the byte that is not UTF-8 may be the last.
    """
    stream.seek(0)
    marked = _encoding_of_head(stream.read(4))
    found = _tried(stream, marked or named or "utf-8")
    if found.intact or marked or named:
        return found
    if _is_utf_8_with_strays(stream):
        return replace(_tried(stream, "utf-8", STRAY), errors=STRAY)
    stream.seek(0)
    return _tried(stream, likely_encoding(iter(partial(stream.read, BLOCK_BYTES), b"")))


def known_encoding(name: str) -> str | None:
    """Return Python's name of an encoding of text, or None if it knows no such encoding."""
    try:
        found = codecs.lookup(name)
        same = "a;\n".encode(found.name).decode(found.name) == "a;\n"
    except (LookupError, ValueError, TypeError):
        return None
    return found.name if same and found.name.replace("-", "_") not in _NO_TEXT else None


def text_blocks(stream: BinaryIO, encoding: Encoding) -> Iterator[str]:
    """Yield the text of a whole file in blocks; the stream is neither wrapped nor closed."""
    return _without_second_mark(_decoded(stream, encoding.name, encoding.errors))


def _without_second_mark(blocks: Iterator[str]) -> Iterator[str]:
    first = next(blocks, "")
    yield first.lstrip("\ufeff") if first.startswith("\ufeff") else first
    yield from blocks


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


def _tried(stream: BinaryIO, name: str, errors: str = "strict") -> Encoding:
    has_nul = False
    blanks = set[str]()
    try:
        for text in _decoded(stream, name, errors):
            has_nul = has_nul or "\0" in text
            # The first look is the faster one: blanks are frequent.
            if '"' in text and ' "' in text:
                blanks.update(_BLANK_BEFORE_QUOTE.findall(text))
    except UnicodeError:
        return Encoding(name, False, has_nul, "replace", "".join(sorted(blanks)))
    return Encoding(name, True, has_nul, "strict", "".join(sorted(blanks)))


def _is_utf_8_with_strays(stream: BinaryIO) -> bool:
    good = stray = 0
    for text in _decoded(stream, "utf-8", "surrogateescape"):
        other = len(text) - len(text.encode("ascii", "ignore"))
        strays = len(re.findall("[\udc80-\udcff]", text))
        good += other - strays
        stray += strays
    return good >= _GOOD_FOR_EACH_STRAY * stray


def _read_stray(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are not UTF-8 as Windows-1252, where they nearly always come from."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start:error.end].decode("cp1252", "replace"), error.end


codecs.register_error(STRAY, _read_stray)


def _decoded(stream: BinaryIO, name: str, errors: str) -> Iterator[str]:
    stream.seek(0)
    return codecs.iterdecode(iter(partial(stream.read, BLOCK_BYTES), b""), name, errors)
