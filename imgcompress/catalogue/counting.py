"""Count the images and the faults of many rows at once, without saying what is wrong with them.

What a fault takes to be told, by row, column and message, is many times what a good row takes. Only
the first faults are told, so that a file with a million of them costs little more than a good one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from .grid import Grid
from .layout import Layout
from .model import CatalogueLimits
from .records import BrokenRecord, Rows, has_text
from .row_options import OptionCells
from .urls import UrlRules


class RunCount(NamedTuple):
    """How many rows that are not blank, images and faults a run of records has.

    URLs that cannot be fetched are counted apart from the other faults.
    """

    rows: int
    images: int
    faults: int
    bad_urls: int = 0


class RunCounter:
    """Count what runs of one file's records have."""

    def __init__(self, layout: Layout, limits: CatalogueLimits, rules: UrlRules,
                 options: OptionCells) -> None:
        self._layout = layout
        # A header that is too wide is told once, and not again for each row under it.
        self._max_columns = max(limits.max_columns, len(layout.header))
        self._rules = rules
        self._options = options

    def count(self, run: Rows | BrokenRecord) -> RunCount:
        """Count a run; the faults are as many as those that a look at each row would find."""
        if isinstance(run, BrokenRecord):
            return RunCount(0, 0, 1)
        grid = self._layout.grid(run)
        if grid is None:
            return self._count_uneven(run)
        images, faults, bad_urls, without = self._count_columns(grid)
        blank = sum(not has_text([column[index] for column in grid.columns]) for index in without)
        return RunCount(len(grid) - blank, images, faults, bad_urls)

    def _count_uneven(self, run: Rows) -> RunCount:
        """Count rows of different widths: each is lined up with the header first."""
        rows = faults = images = bad_urls = 0
        lined_up = []
        for cells in run:
            if not has_text(cells):
                continue
            rows += 1
            if len(cells) > self._max_columns:
                faults += 1
            elif self._layout.chosen:
                row, surplus = self._layout.sorted_out(cells)
                lined_up.append(row)
                faults += bool(surplus)
        if lined_up:
            images, more, bad_urls, _ = self._count_columns(
                Grid(list(zip(*lined_up, strict=True))))
            faults += more
        return RunCount(rows, images, faults, bad_urls)

    def _count_columns(self, grid: Grid) -> tuple[int, int, int, Collection[int]]:
        """Return the number of images, faults and bad URLs, and which rows have no URL."""
        images = bad_urls = 0
        without: Collection[int] | None = None
        for place in self._layout.url_places:
            found, bad, none = self._rules.count(grid.columns[place])
            images += found
            bad_urls += bad
            without = none if without is None else set(without).intersection(none)
        return images, self._options.count_faults(grid), bad_urls, without or ()
