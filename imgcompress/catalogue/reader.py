"""Read the rows of a catalogue that a survey has found good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from .columns import INPUT_URLS, PRODUCT_NAME, SERIAL_NUMBER
from .faults import fault
from .layout import Layout
from .model import BadCatalogue, CatalogueLimits, CatalogueRow, ImageColumns
from .opening import open_good_layout
from .quoting import fault_of_broken
from .records import BrokenRecord, NumberedRecord, Rows, has_text
from .row_options import OptionCells
from .urls import origins_of_lone, split_urls


def read_rows(stream: BinaryIO, limits: CatalogueLimits) -> Iterator[CatalogueRow]:
    """Yield every row that has something in it, in order; blank rows only count.

    The stream must be seekable; it is read from its start, and not closed. Raise BadCatalogue
    where the file is not one that `survey` found good.
    """
    rows = _Rows(open_good_layout(stream))
    images = 0
    for first, run in rows.runs(stream):
        for row in rows.of_run(first, run):
            images += len(row.urls)
            if images > limits.max_images:
                raise BadCatalogue(fault("too_many_images", limit=limits.max_images))
            yield row


def read_images(stream: BinaryIO, limits: CatalogueLimits) -> Iterator[ImageColumns]:
    """Yield the images of the rows that `read_rows` yields, many at a time and in order.

    It takes less than half the time.
    """
    rows = _Rows(open_good_layout(stream))
    room = limits.max_images
    for first, run in rows.runs(stream):
        images = rows.images(first, run)
        room -= len(images[0])
        if room < 0:
            raise BadCatalogue(fault("too_many_images", limit=limits.max_images))
        yield images


class _Rows:
    """The rows of one file, by their layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._places = [layout.indices[column]
                        for column in (SERIAL_NUMBER, PRODUCT_NAME, INPUT_URLS)]
        self._optional = OptionCells(layout)

    def runs(self, stream: BinaryIO) -> Iterator[tuple[int, Rows]]:
        """Yield runs of rows; raise BadCatalogue at a broken one."""
        for first, run in self._layout.rows(stream):
            if isinstance(run, BrokenRecord):
                raise BadCatalogue(fault_of_broken(run, self._layout))
            yield first, run

    def of_run(self, first: int, run: Rows) -> Iterator[CatalogueRow]:
        """Yield the rows of a run that have something in them."""
        serial, name, urls_at = self._places
        for number, cells in enumerate(run, first):
            if has_text(cells):
                row = self._layout.lined_up(cells)
                yield CatalogueRow(
                    number, row[serial].strip(), row[name].strip(), split_urls(row[urls_at]),
                    tuple(row), self._optional.options(row), self._optional.output_name(row))

    def images(self, first: int, run: Rows) -> ImageColumns:
        """Return the images of a run."""
        grid = None if self._optional.present else self._layout.grid(run)
        if grid is None:
            return _by_columns(self.of_run(first, run))
        serials, names, urls = (grid.columns[place] for place in self._places)
        if origins_of_lone(urls) is None:
            return _by_columns(self.of_run(first, run))
        # One URL in each row, as in nearly every file.
        nothing = [None] * len(grid)
        return (range(first, first + len(grid)), [0] * len(grid), [*map(str.strip, serials)],
                [*map(str.strip, names)], urls, nothing, nothing)


def _by_columns(rows: Iterable[CatalogueRow]) -> ImageColumns:
    images = [(number, position, serial, name, url, options, output_name)
              for number, serial, name, urls, _, options, output_name in rows
              for position, url in enumerate(urls)]
    columns: Any = zip(*images, strict=True) if images else [()] * 7
    numbers, positions, serials, names, urls, options, output_names = columns
    return numbers, positions, serials, names, urls, options, output_names


def intact(records: Iterable[NumberedRecord],
           layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield records as they are; raise BadCatalogue at a broken one."""
    for number, cells in records:
        if isinstance(cells, BrokenRecord):
            raise BadCatalogue(fault_of_broken(cells, layout))
        yield number, cells
