"""Write a CSV back with new URLs in its own cells, and everything else byte for byte.

Separators, quotation marks, encoding, byte order mark, line ends, titles and totals are the
caller's. Nothing is escaped: only URLs of this service are added.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, cast

from .encoding import STRAY, Encoding
from .layout import KeptLayout, Layout, reopened
from .model import ImageOutcome
from .parser import Records
from .rows import intact
from .sniff import open_good_layout
from .writer import OutcomesOfRows, new_urls

_CHUNK_BYTES = 64 * 1024
_BYTE_ORDERS = {
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
}


def write_replaced(
    source: BinaryIO, outcomes: Iterable[ImageOutcome], kept: KeptLayout | None = None
) -> Iterator[bytes]:
    """Yield the caller's CSV with the new URLs in place of the old ones, in chunks.

    `outcomes` come ordered by row and position; an image without a new URL keeps its old one.
    `kept` is as in write_catalogue(). Raise BadCatalogue if `source` is not a valid catalogue.
    """
    layout = reopened(source, kept) if kept else open_good_layout(source)
    raw = _RawText(source, layout.format.encoding)
    records = layout.format.records(cast(BinaryIO, raw))
    of_rows = OutcomesOfRows(outcomes)
    chunk = bytearray()
    above = layout.format.sep_line
    for number, cells in intact(records, layout):
        if above:
            chunk += raw.take(above)
            above = ""
        urls = new_urls(of_rows.take(number)) if number > layout.last_title_row else {}
        changed = layout.replaced(cells, urls) if urls else {}
        chunk += _written(records, layout, raw, changed) if changed else raw.take(records.text)
        if len(chunk) > _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk) + raw.rest()


def _written(records: Records, layout: Layout, raw: _RawText, changed: Mapping[int, str]) -> bytes:
    """Return the bytes of the record that was yielded last, of which some cells change."""
    text = records.text
    # PHP's escaped quotation marks are as long as ordinary ones, so the places are the same.
    spans = cell_spans(
        text.replace('\\"', '""') if records.escaped else text,
        layout.format.delimiter,
        layout.format.blanks_before_quotes,
    )
    pieces = []
    done = 0
    for place, cell in sorted(changed.items()):
        start, end = spans[place]
        pieces.append(raw.take(text[done:start]))
        raw.take(text[start:end])
        pieces.append(raw.encoded(_quoted_like(text[start:end], cell, layout.format.delimiter)))
        done = end
    return b"".join([*pieces, raw.take(text[done:])])


def cell_spans(text: str, delimiter: str, blanks_before_quotes: bool) -> list[tuple[int, int]]:
    """Return the span of each cell of a valid record, with its quotation marks."""
    mark = re.escape(delimiter)
    before = " *+" if blanks_before_quotes else ""
    # Possessive, because an ordinary repetition would try every way to split a long cell.
    cell = re.compile(rf'{before}("(?:[^"]++|"")*+"(?={mark}|[\r\n]|\Z)|(?!")[^{mark}\r\n]*+)')
    spans = []
    end = -1
    while end < 0 or text.startswith(delimiter, end):
        match = cell.match(text, end + 1)
        assert match is not None
        spans.append(match.span(1))
        end = match.end()
    return spans


def _quoted_like(old: str, cell: str, delimiter: str) -> str:
    """Return a cell between quotation marks if the old one stood between some, or it must."""
    if old.startswith('"'):
        mark = '\\"' if '\\"' in old[1:-1] else '""'
        return '"' + cell.replace('"', mark) + '"'
    if cell.startswith('"') or any(sign in cell for sign in (delimiter, "\r", "\n")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


class _RawText:
    """A file whose bytes are kept until the text that was decoded from them is taken.

    To encode the text again is not enough: in old encodings several bytes may mean one character.
    """

    def __init__(self, stream: BinaryIO, encoding: Encoding) -> None:
        self._stream = stream
        self._bytes = bytearray()
        self._begun = False
        self._has_strays = encoding.errors == STRAY
        self._codec = encoding.name.removesuffix("-sig")

    def seek(self, place: int) -> None:
        """Start again; only seeking to the start is supported."""
        self._stream.seek(place)
        self._bytes.clear()
        self._begun = False

    def read(self, size: int) -> bytes:
        """Return more bytes, and keep them."""
        data = self._stream.read(size)
        self._bytes += data
        return data

    def take(self, text: str) -> bytes:
        """Return the bytes of the next piece of the text, and the marks before the first piece."""
        marks = b"" if self._begun else self._taken_marks()
        return marks + self._taken(self._length(text))

    def rest(self) -> bytes:
        """Return the bytes that were not taken."""
        return bytes(self._bytes)

    def encoded(self, text: str) -> bytes:
        """Return a new text in the encoding of the file."""
        return text.encode(self._codec, "replace")

    def _taken_marks(self) -> bytes:
        """Find the byte order, and remove the marks, which are not part of the text."""
        self._begun = True
        for mark, codec in _BYTE_ORDERS.get(self._codec, ()):
            if self._bytes.startswith(mark):
                self._codec = codec
        mark = self.encoded("\ufeff")
        marks = b""
        while mark != self.encoded("?") and self._bytes.startswith(mark):
            marks += self._taken(len(mark))
        return marks

    def _taken(self, length: int) -> bytes:
        taken = bytes(self._bytes[:length])
        del self._bytes[:length]
        return taken

    def _length(self, text: str) -> int:
        """Return the number of bytes in the next piece of the text."""
        usual = self.encoded(text)
        if self._bytes.startswith(usual):
            return len(usual)
        if self._has_strays:
            # Each stray byte became one character, as it does here.
            most = bytes(self._bytes[: 4 * len(text) + 4]).decode(errors="surrogateescape")
            return len(most[: len(text)].encode(errors="surrogateescape"))
        decoder = codecs.getincrementaldecoder(self._codec)()
        characters = 0
        for length, byte in enumerate(self._bytes, 1):
            characters += len(decoder.decode(bytes([byte])))
            if characters >= len(text):
                return length
        return len(self._bytes)
