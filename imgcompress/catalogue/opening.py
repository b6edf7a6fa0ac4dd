"""Open a file as a catalogue, or say why it is none."""

from __future__ import annotations

import re
from itertools import islice
from typing import BinaryIO

from .columns import find_columns, header_faults
from .encoding import Encoding, detect_encoding, text_blocks
from .faults import fault
from .layout import Format, Layout
from .model import BadCatalogue, Fault
from .records import BrokenRecord
from .signatures import BINARY, HEAD_BYTES, ForeignKind, foreign_kind, is_binary

DELIMITERS = ",;\t|"
HEADER_SEARCHED_ROWS = 1_000
_SEP_LINE = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?(?:\r\n|\n|\r|\Z)", re.I)


def open_layout(stream: BinaryIO) -> Layout:
    """Return the layout of a seekable file; raise BadCatalogue if it is empty or no CSV.

    The separator is the one that yields the most of our columns, unless a `sep=` line names it;
    nothing is guessed from the rows.
    """
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    foreign = foreign_kind(head)
    if foreign is not None:
        raise BadCatalogue(_foreign(foreign))
    encoding = detect_encoding(stream)
    layouts = [_layout(stream, format_) for format_ in _formats(stream, encoding)]
    found = [layout for layout in layouts if layout is not None]
    if not found:
        raise BadCatalogue(fault("empty_file", limit=HEADER_SEARCHED_ROWS))
    best = max(found, key=lambda layout: (len(layout.indices), len(layout.header)))
    if not best.indices and not encoding.wide and is_binary(head):
        raise BadCatalogue(_foreign(BINARY))
    return best


def open_good_layout(stream: BinaryIO) -> Layout:
    """Return the layout of a file that has our columns; raise BadCatalogue for any other."""
    layout = open_layout(stream)
    for found in header_faults(layout.header_row, layout.header):
        raise BadCatalogue(found)
    return layout


def _foreign(kind: ForeignKind) -> Fault:
    return fault("not_a_csv", kind=kind.name, advice=kind.advice)


def _formats(stream: BinaryIO, encoding: Encoding) -> list[Format]:
    match = _SEP_LINE.match(next(text_blocks(stream, encoding), ""))
    if match:
        return [Format(encoding, match[1], sep_line=match[0])]
    return [Format(encoding, delimiter) for delimiter in DELIMITERS]


def _layout(stream: BinaryIO, format_: Format) -> Layout | None:
    """Take the first row that is not blank for the header; None where there is none."""
    records = format_.records(stream)
    for number, cells in islice(records, HEADER_SEARCHED_ROWS):
        if isinstance(cells, BrokenRecord):
            return Layout(format_, records.line_ending, number, (), {})
        # A row of nothing but separators is blank, whichever of them is tried.
        if "".join(cells).strip(DELIMITERS + " "):
            return Layout(format_, records.line_ending, number, tuple(cells), find_columns(cells))
    return None
