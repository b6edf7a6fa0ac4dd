"""Find the issue of a record that the csv module has refused, and the cell with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .layout import Layout
from .model import Issue, issue
from .parser import MAX_CELL_CHARS, MAX_ROW_CHARS, BrokenRecord

# Possessive, because an ordinary repetition would try every way to part a long cell.
_QUOTED = r'"(?:[^"]++|"")*+"'


@dataclass(frozen=True)
class _Cell:
    """The first bad cell of a record: its index, its text to the record's end, its quotes."""

    index: int
    text: str
    quoted: bool
    closed: bool


def issue_of_broken_record(record: BrokenRecord, layout: Layout) -> Issue:
    """Return the issue of a broken record."""
    if record.too_long:
        return issue("row_too_long", record.number, value=record.text, limit=MAX_ROW_CHARS)
    cell = _first_bad_cell(record.text, layout.format.delimiter)
    return issue(
        _code(cell, record.final),
        record.number,
        layout.title(cell.index),
        cell.text,
        limit=MAX_CELL_CHARS,
    )


def _code(cell: _Cell, record_has_no_end: bool) -> str:
    if cell.quoted and (record_has_no_end or not cell.closed):
        return "unclosed_quote"
    return "cell_too_long" if len(cell.text) > MAX_CELL_CHARS else "stray_quote"


def _first_bad_cell(text: str, delimiter: str) -> _Cell:
    mark = re.escape(delimiter)
    any_cell = re.compile(rf'(?:{_QUOTED}|(?!")[^{mark}\r\n]*+)(?={mark}|[\r\n]|\Z)')
    position = index = 0
    while (match := any_cell.match(text, position)) and len(match[0]) <= MAX_CELL_CHARS:
        if not text.startswith(delimiter, match.end()):
            break
        position = match.end() + 1
        index += 1
    return _Cell(
        index,
        text[position:].rstrip("\r\n"),
        text.startswith('"', position),
        re.compile(_QUOTED).match(text, position) is not None,
    )
