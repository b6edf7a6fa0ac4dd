"""The issues of a row as a whole: its quotation marks, its number of cells, its options.

Such a row is a reason to refuse its file; with `on_row_error=skip` it is skipped, and copied
to the output. A URL that cannot be fetched is not such an issue: only its image fails.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from .layout import Layout
from .model import BadCatalogue, CatalogueLimits, Issue, issue
from .options import OptionCells
from .parser import BrokenRecord, NumberedRecord, has_text
from .quoting import issue_of_broken_record

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
        # A header that is too wide is reported once, not again for each row below it.
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
