"""Read the rows of a validated catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ..image_columns import ImageColumns
from .layout import Layout
from .model import BadCatalogue, CatalogueLimits, CatalogueRow, issue
from .options import OptionCells
from .parser import BrokenRecord, ColumnBatch, Rows, has_text
from .quoting import issue_of_broken_record
from .row_errors import DEFAULT_LIMITS, RowChecks
from .sniff import open_good_layout


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
        """Return the name of a row; of a product over several rows, often one alone has it."""
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
