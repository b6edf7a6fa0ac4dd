"""Write the output CSV: the caller's own table, and beside it what became of the images."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from .formulas import inert
from .layout import Layout
from .model import ImageOutcome
from .opening import KeptLayout, open_good_layout, reopened
from .reader import intact
from .records import has_text

OUTPUT_COLUMNS = ("Output Image Urls", "Image Errors")
_CHUNK_ROWS = 500


def write_catalogue(source: BinaryIO, outcomes: Iterable[ImageOutcome],
                    delimiter: str | None = None,
                    kept: KeptLayout | None = None) -> Iterator[bytes]:
    """Yield the output CSV in chunks; raise BadCatalogue if `source` is no good catalogue.

    `outcomes` come ordered by row and position; where some are missing, their slots stay empty.
    Output columns of an earlier run are overwritten. Columns, order and Excel's `sep=` line are the
    caller's, and so is the separator unless there is a `delimiter`. The text is UTF-8, with a byte
    order mark unless the input was UTF-8 without one; lines end with LF if the caller's did, and
    otherwise with CRLF (RFC 4180). `kept` is what `kept_layout` made of the survey's layout;
    without it the file is looked at anew.
    """
    layout = reopened(source, kept) if kept else open_good_layout(source)
    delimiter = delimiter or layout.format.delimiter
    if layout.format.encoding.name != "utf-8":
        yield "\ufeff".encode()
    if layout.format.sep_line:
        sep_line = layout.format.sep_line.rstrip("\r\n")
        yield (sep_line.replace(layout.format.delimiter, delimiter) + layout.line_ending).encode()
    yield from encoded_rows(_output_rows(source, layout, outcomes), delimiter, layout.line_ending)


def encoded_rows(rows: Iterator[list[str]], delimiter: str, line_ending: str) -> Iterator[bytes]:
    """Yield rows as CSV in UTF-8, some at a time; no cell of them runs as a formula."""
    lines = _Lines()
    # With CRLF as its line end, Python 3.11 puts cells that hold CR or LF between quotation marks;
    # with LF alone it would leave a CR bare.
    writer = csv.writer(lines, delimiter=delimiter, lineterminator="\r\n")
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        writer.writerows(map(inert, chunk))
        yield "".join(line[:-2] + line_ending for line in lines).encode()
        lines.clear()


class _Lines(list[str]):
    """A list as the file that csv.writer writes to: one write for each row."""

    def write(self, line: str) -> None:
        self.append(line)


def _output_rows(source: BinaryIO, layout: Layout,
                 outcomes: Iterable[ImageOutcome]) -> Iterator[list[str]]:
    of_rows = _OutcomesOfRows(outcomes)
    places = _output_places(layout)
    for number, cells in intact(layout.format.records(source), layout):
        if number == layout.header_row:
            yield _with_output(cells, places, OUTPUT_COLUMNS)
        elif number > layout.header_row and has_text(cells):
            row = layout.lined_up(cells)
            slots = len(layout.urls(row))
            yield _with_output(row, places, _output_cells(slots, of_rows.take(number)))
        else:
            yield cells


def _output_places(layout: Layout) -> list[int | None]:
    """Return where the file has the output columns of an earlier run; None for each new one.

    A column that is read now, as where compressed images are compressed again, is kept.
    """
    chosen = layout.chosen
    read = {*layout.url_places, *((chosen.name, chosen.id) if chosen else ())}
    places = {name: place for place, name in enumerate(layout.header) if place not in read}
    return [places.get(name) for name in OUTPUT_COLUMNS]


def _with_output(row: Sequence[str], places: Sequence[int | None],
                 output: Sequence[str]) -> list[str]:
    """Return a row with the output in its places, and at the end where it has none."""
    cells = list(row)
    for place, cell in zip(places, output, strict=True):
        if place is None:
            cells.append(cell)
        else:
            cells[place] = cell
    return cells


def _output_cells(slots: int, outcomes: Sequence[ImageOutcome]) -> tuple[str, str]:
    # A job of an earlier version may have found more URLs in a cell.
    urls = [""] * max([slots, *(outcome.position + 1 for outcome in outcomes)])
    errors = []
    for outcome in outcomes:
        if outcome.output_url:
            urls[outcome.position] = outcome.output_url
        if outcome.error:
            errors.append(f"{outcome.position + 1}: {outcome.error}")
    return ",".join(urls), " | ".join(errors)


class _OutcomesOfRows:
    """Outcomes in the order of rows, handed out row by row."""

    def __init__(self, outcomes: Iterable[ImageOutcome]) -> None:
        self._rest = iter(outcomes)
        self._next = next(self._rest, None)

    def take(self, row_number: int) -> list[ImageOutcome]:
        """Return the outcomes of a row; those of earlier rows that nobody took are passed over."""
        taken = []
        while self._next is not None and self._next.row_number <= row_number:
            if self._next.row_number == row_number:
                taken.append(self._next)
            self._next = next(self._rest, None)
        return taken
