"""The rows of a catalogue: their issues, and the images in them.

An issue of a row as a whole, such as its quotation marks, its number of cells or its options, is a
reason to reject the file; with `on_row_error=skip` the row is skipped, and copied to the output. A
URL that cannot be fetched is not such an issue: only its image fails.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..catalogue import ImageColumns
from .layout import Layout
from .model import BadCatalogue, CatalogueLimits, CatalogueRow, Issue, issue
from .options import OptionCells
from .parser import (
    MAX_CELL_CHARS,
    MAX_ROW_CHARS,
    BrokenRecord,
    ColumnBatch,
    NumberedRecord,
    Rows,
    has_text,
)
from .sniff import open_good_layout

# Possessive, because an ordinary repetition would try every way to split a long cell.
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


DEFAULT_LIMITS = CatalogueLimits()


class BrokenRow(list[str]):
    """The cells of a malformed CSV record, separated as far as possible."""

    def __init__(self, record: BrokenRecord, layout: Layout) -> None:
        self.issue = issue_of_broken_record(record, layout)
        delimiter = layout.format.delimiter
        try:
            super().__init__(next(csv.reader([record.text], delimiter=delimiter)))
        except csv.Error:
            super().__init__(record.text.rstrip("\r\n").split(delimiter))


class RowChecks:
    """Finds the issues of rows below the header."""

    def __init__(
        self, layout: Layout, options: OptionCells, limits: CatalogueLimits = DEFAULT_LIMITS
    ) -> None:
        self._layout = layout
        self._options = options
        # A header that is too wide is reported once, not for each row below it.
        self.most_cells = max(limits.max_columns, len(layout.header))

    def issues(self, number: int, cells: list[str]) -> Iterator[Issue]:
        """Yield the issues of a row; a blank one has none."""
        if isinstance(cells, BrokenRow):
            yield cells.issue
        elif not has_text(cells):
            return
        elif len(cells) > self.most_cells:
            yield issue("too_many_columns", number, found=len(cells), limit=self.most_cells)
        elif self._layout.chosen:
            row, surplus = self._layout.sorted_out(cells)
            if surplus:
                yield issue("extra_cells", number, value=surplus)
            yield from self._options.issues(number, row)


def intact(records: Iterable[NumberedRecord], layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield records as they are; a broken one is a BrokenRow, or else raises BadCatalogue."""
    for number, cells in records:
        if isinstance(cells, BrokenRecord):
            if not layout.passes_over(cells):
                raise BadCatalogue(issue_of_broken_record(cells, layout))
            yield number, BrokenRow(cells, layout)
        else:
            yield number, cells


def read_images(
    stream: BinaryIO, limits: CatalogueLimits, layout: Layout | None = None
) -> Iterator[ImageColumns]:
    """Yield the images of every row that has any, many at a time and in order.

    The stream must be seekable; it is read from its start, and not closed. Raise BadCatalogue
    for a file that did not pass `validate_file`. `layout` is the one found there; without it, it
    is determined again.
    """
    rows = CatalogueRows(layout or open_good_layout(stream), limits)
    room = limits.max_images
    for first, run in rows.runs(stream):
        images = rows.images(first, run)
        room -= len(images[0])
        if room < 0:
            raise BadCatalogue(issue("too_many_images", limit=limits.max_images))
        yield images


class CatalogueRows:
    """The rows of one file, by their layout."""

    def __init__(self, layout: Layout, limits: CatalogueLimits = DEFAULT_LIMITS) -> None:
        self._layout = layout
        chosen = layout.chosen
        self._id_at = chosen.id if chosen else None
        self._name_at = chosen.name if chosen else None
        # The identifier and the name of the last row that had a name.
        self._named = ("", "")
        self._optional = OptionCells(layout)
        self._checks = RowChecks(layout, self._optional, limits) if layout.skip else None

    def runs(self, stream: BinaryIO) -> Iterator[tuple[int, Rows]]:
        """Yield runs of rows; raise BadCatalogue at a broken one that is not skipped."""
        for first, run in self._layout.rows(stream):
            if not isinstance(run, BrokenRecord):
                yield first, run
            elif not self._layout.passes_over(run):
                raise BadCatalogue(issue_of_broken_record(run, self._layout))

    def of_run(self, first: int, run: Rows) -> Iterator[CatalogueRow]:
        """Yield the rows of a run that are neither blank nor skipped."""
        id_at, name_at = self._id_at, self._name_at
        for number, cells in enumerate(run, first):
            if self._checks and any(self._checks.issues(number, cells)):
                continue
            if has_text(cells):
                row = self._layout.lined_up(cells)
                id_ = "" if id_at is None else row[id_at].strip()
                name = "" if name_at is None else row[name_at].strip()
                yield CatalogueRow(
                    number,
                    id_,
                    self._name_of(id_, name),
                    self._layout.urls(row),
                    tuple(row),
                    self._optional.options(row),
                    self._optional.output_name(row),
                )

    def _name_of(self, id_: str, name: str) -> str:
        """Return the name of a row; if a product has several rows, often only one has the name."""
        if name:
            self._named = (id_, name)
        elif id_ and id_ == self._named[0]:
            return self._named[1]
        return name

    def images(self, first: int, run: Rows) -> ImageColumns:
        """Return the images of a run."""
        grid = None if self._optional.present else self._layout.grid(run)
        if grid is None:
            return _by_columns(self.of_run(first, run))
        if len(self._layout.url_places) != 1:
            return _by_columns(self.of_run(first, run))
        urls = grid.columns[self._layout.url_places[0]]
        if not self._layout.url_cells.all_plain(urls):
            return _by_columns(self.of_run(first, run))
        # One URL in each row, as in nearly every file.
        serials, names = self._stripped(grid, self._id_at), self._stripped(grid, self._name_at)
        if "" in names and self._id_at is not None:
            names = [*map(self._name_of, serials, names)]
        else:
            self._named = (serials[-1], names[-1])
        nothing = [None] * len(grid)
        return (
            range(first, first + len(grid)),
            [0] * len(grid),
            serials,
            names,
            urls,
            nothing,
            nothing,
        )

    @staticmethod
    def _stripped(grid: ColumnBatch, place: int | None) -> list[str]:
        return [""] * len(grid) if place is None else [*map(str.strip, grid.columns[place])]


def _by_columns(rows: Iterable[CatalogueRow]) -> ImageColumns:
    images = [
        (number, position, serial, name, url, options, output_name)
        for number, serial, name, urls, _, options, output_name in rows
        for position, url in enumerate(urls)
    ]
    columns: Any = zip(*images, strict=True) if images else [()] * 7
    numbers, positions, serials, names, urls, options, output_names = columns
    return numbers, positions, serials, names, urls, options, output_names
