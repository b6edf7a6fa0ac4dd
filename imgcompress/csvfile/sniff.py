"""Open an uploaded file, and recognise files that are not CSV by their first bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

from ..catalogue import SIGNATURES
from .columns import (
    DETECTED,
    SAMPLED_ROWS,
    ChosenColumns,
    Sample,
    choose_columns,
    find_options,
    header_issues,
    holds_image_url,
    with_names,
)
from .encoding import Encoding, detect_encoding, text_blocks
from .layout import HEADER_SEARCHED_ROWS, Format, Layout
from .model import BadCatalogue, Issue, Wishes, issue
from .parser import BrokenRecord, Records, has_text
from .url_cells import NO_IMAGE

HEAD_BYTES = 4096


@dataclass(frozen=True)
class FileType:
    """A type of file that is not CSV: its name, and advice for its owner."""

    name: str
    advice: str


_EXPORT = "Open it in a spreadsheet program and save it as .xlsx or CSV (UTF-8)."
_UNPACK = "Unpack it first, and upload the table inside."
_WRONG = "Choose the file with the catalogue."

_KINDS = {
    "png": FileType("a PNG image", _WRONG),
    "jpeg": FileType("a JPEG image", _WRONG),
    "gif": FileType("a GIF image", _WRONG),
    "tiff": FileType("a TIFF image", _WRONG),
    "webp": FileType("a WebP image", _WRONG),
    "pdf": FileType("a PDF document", _WRONG),
    "gzip": FileType("a gzip archive", _UNPACK),
}
_MAGIC = (
    (b"{\\rtf", FileType("a rich-text document", _WRONG)),
    (b"SQLite format 3\0", FileType("an SQLite database", _WRONG)),
    (b"PAR1", FileType("a Parquet file", _WRONG)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", FileType("an old Excel workbook (.xls)", _EXPORT)),
    (b"BZh9", FileType("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\0", FileType("an xz archive", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", FileType("a Zstandard archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", FileType("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", FileType("a RAR archive", _UNPACK)),
)
# Where the header of a tar archive has its magic bytes.
_TAR = slice(257, 262), b"ustar"
_MARKUP = (
    (re.compile(rb"<(!doctype\s+html|html|head)\b", re.I), FileType("an HTML page", _WRONG)),
    (re.compile(rb"<\?xml\b", re.I), FileType("an XML document", _WRONG)),
    (re.compile(rb'[\[{]\s*["\[{}\]]'), FileType("a JSON document", _WRONG)),
)
BINARY = FileType(
    "binary data", f"{_WRONG} If this is the right file, it is damaged: save it again."
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
# Text has almost none of these characters; one in ten random bytes is one.
_BINARY_SHARE = 0.03


def detect_file_type(head: bytes) -> FileType | None:
    """Return the type of a file by its first HEAD_BYTES, or None if it may be a CSV."""
    if SIGNATURES["zip"].match(head):
        return _zip_kind(head)
    for name, kind in _KINDS.items():
        if SIGNATURES[name].match(head):
            return kind
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    place, magic = _TAR
    if head[place] == magic:
        return FileType("a tar archive", _UNPACK)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in _MARKUP if pattern.match(text)), None)


def is_binary(head: bytes) -> bool:
    """Return whether the first bytes of a file not in UTF-16 or UTF-32 look like binary data."""
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > len(head) * _BINARY_SHARE


def _zip_kind(head: bytes) -> FileType:
    if b"xl/" in head:
        return FileType("an Excel workbook (.xlsx)", _EXPORT)
    if b"opendocument.spreadsheet" in head:
        return FileType("an OpenDocument spreadsheet (.ods)", _EXPORT)
    if b"[Content_Types].xml" in head:
        return FileType("an Office document (.xlsx, .docx)", _EXPORT)
    return FileType("a ZIP archive", _UNPACK)


DELIMITERS = ",;\t|"
# The most rows that titles, units and descriptions above the header may take.
HEADER_CANDIDATES = 30
NO_WISHES = Wishes()
_SEP_LINE = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?(?:\r\n|\n|\r|\Z)", re.I)


@dataclass(frozen=True)
class _Top:
    """The first rows of a file as read in one format, and the header found there."""

    format: Format
    line_ending: str
    rows: Sequence[tuple[int, list[str]]]
    broken_row: int
    chosen: ChosenColumns | None
    at: int

    @property
    def rank(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return how likely this reading of the file is."""
        # With the right separator, all rows of a table have the same number of cells.
        widths = Counter(len(cells) for _, cells in self.rows if len(cells) > 1)
        return (
            self.chosen.rank if self.chosen else (-1, 0),
            max(((rows, width) for width, rows in widths.items()), default=(0, 0)),
        )


def open_layout(stream: BinaryIO, wishes: Wishes = NO_WISHES) -> tuple[Layout, Sample]:
    """Return the layout of a seekable file and its first rows.

    Raise BadCatalogue if it is empty or not a CSV. The separator is the one that yields the most
    columns of this service, unless a `sep=` line names it. If no header has known columns, the
    column of images is recognised by its first rows.
    """
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    foreign = detect_file_type(head)
    if foreign is not None:
        raise BadCatalogue(_foreign(foreign))
    encoding = detect_encoding(stream, wishes.encoding)
    tops = list(_tops(stream, encoding, wishes))
    if not tops:
        raise BadCatalogue(issue("empty_file", limit=HEADER_SEARCHED_ROWS))
    best = max(tops, key=lambda top: top.rank)
    if best.chosen is None and not encoding.wide and is_binary(head):
        raise BadCatalogue(_foreign(BINARY))
    if best.chosen is None and not wishes.url_columns:
        for top in sorted(tops, key=lambda top: top.rank, reverse=True):
            detected = _with_detected(stream, top, wishes)
            if detected is not None:
                best = detected
                break
    layout = _layout(best, wishes)
    sample = open_sample(stream, layout)
    if not wishes.url_columns and (mark := sample.mark_within_cells()):
        raise BadCatalogue(_not_separated(mark))
    if layout.chosen:
        layout = replace(layout, chosen=sample.without_texts(layout.chosen))
    return _with_description(stream, layout, sample), sample


def open_sample(stream: BinaryIO, layout: Layout) -> Sample:
    """Return the header and the first rows below it."""
    return Sample(layout.header, _rows_below(stream, layout))


def open_good_layout(stream: BinaryIO) -> Layout:
    """Return the layout of a file with known columns; raise BadCatalogue for any other."""
    layout, _ = open_layout(stream)
    for found in header_issues(layout.header_row, layout.header, layout.chosen, NO_WISHES):
        raise BadCatalogue(found)
    return layout


def _foreign(kind: FileType) -> Issue:
    return issue("not_a_csv", kind=kind.name, advice=kind.advice)


def _not_separated(mark: str) -> Issue:
    if mark in DELIMITERS:
        return issue("cells_not_separated", reason="whole rows are in quotation marks", advice="")
    return issue(
        "cells_not_separated",
        reason=f"“{mark}” is not known to separate cells",
        advice=f", or insert a first line sep={mark}",
    )


def _formats(stream: BinaryIO, encoding: Encoding) -> list[Format]:
    match = _SEP_LINE.match(next(text_blocks(stream, encoding), ""))
    if match:
        return [Format(encoding, match[1], match[0], match[1] in encoding.blanks_before_quotes)]
    return [
        Format(encoding, delimiter, "", delimiter in encoding.blanks_before_quotes)
        for delimiter in DELIMITERS
    ]


def _tops(stream: BinaryIO, encoding: Encoding, wishes: Wishes) -> Iterator[_Top]:
    """Yield the first rows as read in each format, until one has all columns."""
    for format_ in _formats(stream, encoding):
        top = _top(stream, format_, wishes)
        if top is not None:
            yield top
            if top.chosen and top.chosen.complete:
                return


def _top(stream: BinaryIO, format_: Format, wishes: Wishes) -> _Top | None:
    """Read the first rows that are not blank, and look for the header among them."""
    records = format_.records(stream)
    rows: list[tuple[int, list[str]]] = []
    endings: list[str] = []
    broken_row = 0
    for number, cells in islice(records, HEADER_SEARCHED_ROWS):
        if isinstance(cells, BrokenRecord):
            broken_row = number
            if not rows:
                endings.append(records.line_ending)
            break
        # A row of only separators is blank, whichever of them is tried.
        if "".join(cells).strip(DELIMITERS + " "):
            rows.append((number, cells))
            endings.append(records.line_ending)
            if len(rows) == HEADER_CANDIDATES:
                break
    if not endings:
        return None
    chosen, at = None, 0
    for place, (_, cells) in enumerate(rows):
        choice = choose_columns(cells, wishes)
        if choice and (chosen is None or choice.rank > chosen.rank):
            chosen, at = choice, place
        # A title row may contain some of the named columns; a known header is the header.
        if chosen and not wishes.url_columns:
            break
    return _Top(format_, endings[0], rows, broken_row, chosen, at)


def _with_detected(stream: BinaryIO, top: _Top, wishes: Wishes) -> _Top | None:
    """Return the same rows with the one column that holds images, or None."""
    before = next(
        (at for at, (_, cells) in enumerate(top.rows) if holds_image_url(cells)), len(top.rows)
    )
    # The header is the fullest row above the first image: titles have few cells.
    at = max(range(before), key=lambda at: (_filled(top.rows[at][1]), -at), default=None)
    if at is None:
        return None
    found = replace(top, at=at, chosen=None)
    layout = _layout(found, wishes)
    places = open_sample(stream, layout).image_columns()
    titles = {layout.title(place) for place in places}
    if not places:
        return None
    if len(titles) > 1 or titles == {None}:
        # There are images, but in several columns: the caller must say in which.
        return found
    # Columns with the same name are one, including those that are still empty.
    same = [place for place in range(len(layout.header)) if layout.title(place) in titles]
    chosen = ChosenColumns(DETECTED, tuple(same))
    return replace(found, chosen=with_names(chosen, layout.header, wishes))


def _layout(top: _Top, wishes: Wishes) -> Layout:
    if not top.rows:
        return Layout(top.format, top.line_ending, top.broken_row, (), None, {})
    number, header = top.rows[top.at]
    return Layout(
        top.format,
        top.line_ending,
        number,
        tuple(header),
        top.chosen,
        find_options(header, wishes),
        wishes.base_url,
        wishes.skip_bad_rows,
    )


def _with_description(stream: BinaryIO, layout: Layout, sample: Sample) -> Layout:
    """Return the layout with the row under the header, if that only describes the columns."""
    at = next((at for at, cells in enumerate(sample.rows) if has_text(cells)), None)
    if layout.chosen is None or at is None:
        return layout
    if not is_description(layout, sample.rows[at], sample.rows[at + 1 :]):
        return layout
    numbers = (
        number for number, cells in _unbroken(layout.format.records(stream)) if has_text(cells)
    )
    number = next(number for number in numbers if number > layout.header_row)
    return replace(layout, description_row=number)


def _rows_below(stream: BinaryIO, layout: Layout) -> list[list[str]]:
    records = islice(_unbroken(layout.format.records(stream)), layout.header_row + SAMPLED_ROWS)
    return [cells for number, cells in records if number > layout.header_row]


def _unbroken(records: Records) -> Iterable[tuple[int, list[str]]]:
    for number, cells in records:
        if not isinstance(cells, BrokenRecord):
            yield number, cells


def _filled(cells: Sequence[str]) -> int:
    return sum(not cell.isspace() for cell in filter(None, cells))


# A host, a path or a file name.
_ADDRESS = re.compile(r"\S[./\\]\S")
_NUMBER = re.compile(r"[^\w.,]*\d[\d.,]*(?:\s*\S{1,4})?", re.ASCII)
_WORDS = re.compile(r"\w+")
# The only words with which such a row describes a column of images.
_VOCABULARY = frozenset(
    "url urls uri link links http https address text string str varchar char type format image"
    " images img photo photos picture pictures bild bilder foto fotos file files media main other"
    " additional required optional recommended preferred pflicht pflichtfeld muss kann".split()
)


def is_description(layout: Layout, row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row under the header describes the columns; `below` are others.

    It has no URL or file name where other rows have some. Instead it has words such as
    `URL` or `required`, or it has texts in columns of numbers. A product without an image, or with
    a wrong one, is none.
    """
    texts = [text for text in _image_cells(layout, row) if text.casefold() not in NO_IMAGE]
    if not texts or any(map(_ADDRESS.search, texts)):
        return False
    others = [cells for cells in below if has_text(cells)]
    if not any(_ADDRESS.search(text) for cells in others for text in _image_cells(layout, cells)):
        return False
    if all(set(_WORDS.findall(text.casefold())) <= _VOCABULARY for text in texts):
        return True
    numeric = [
        place
        for place in range(len(row))
        if row[place].strip() and _is_numeric(cells[place : place + 1] for cells in others)
    ]
    return bool(numeric) and not any(_NUMBER.fullmatch(row[place].strip()) for place in numeric)


def _image_cells(layout: Layout, row: Sequence[str]) -> list[str]:
    return [
        row[place].strip()
        for place in layout.url_places
        if place < len(row) and not row[place].isspace() and row[place]
    ]


def _is_numeric(cells: Iterable[Sequence[str]]) -> bool:
    """Return whether a column has two or more numbers and no other text."""
    texts = [cell[0].strip() for cell in cells if cell and cell[0].strip()]
    return len(texts) > 1 and all(map(_NUMBER.fullmatch, texts))
