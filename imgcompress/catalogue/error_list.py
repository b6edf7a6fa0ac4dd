"""The list of what failed, as a CSV of its own: for those who import the output as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from .layout import Layout
from .opening import KeptLayout, open_good_layout, reopened
from .reader import intact
from .writer import encoded_rows

ERROR_COLUMNS = ("Row", "Column", "URL", "Code", "Message")


class ImageFailure(NamedTuple):
    """Why the image at `position` (0..) of a row has failed."""

    row_number: int
    position: int
    code: str
    message: str


def write_errors(source: BinaryIO, failures: Iterable[ImageFailure], delimiter: str | None = None,
                 kept: KeptLayout | None = None) -> Iterator[bytes]:
    """Yield a CSV with a row for each failure; raise BadCatalogue if `source` is no good catalogue.

    `failures` come ordered by row and position. Rows and columns are those of the caller's file;
    delimiter, encoding and ends of lines are as in write_catalogue().
    """
    layout = reopened(source, kept) if kept else open_good_layout(source)
    if layout.format.encoding.name != "utf-8":
        yield "\ufeff".encode()
    yield from encoded_rows(_rows(source, layout, failures), delimiter or layout.format.delimiter,
                            layout.line_ending)


def _rows(source: BinaryIO, layout: Layout,
          failures: Iterable[ImageFailure]) -> Iterator[list[str]]:
    yield [*ERROR_COLUMNS]
    rest = iter(failures)
    failure = next(rest, None)
    for number, cells in intact(layout.format.records(source), layout):
        if failure is None:
            return
        if number != failure.row_number:
            continue
        places = _places(layout, layout.lined_up(cells))
        while failure is not None and failure.row_number == number:
            # A job of an earlier version may have found more URLs in a cell.
            column, url = (places[failure.position] if failure.position < len(places)
                           else ("", ""))
            yield [str(number), column, url, failure.code, failure.message]
            failure = next(rest, None)


def _places(layout: Layout, row: Sequence[str]) -> list[tuple[str, str]]:
    """Return the column and the URL of each image of a row."""
    return [(layout.title(place) or "", url) for place in layout.url_places
            for url in layout.url_cells.split(row[place])]
