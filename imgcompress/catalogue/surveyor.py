"""Look a whole file over in one pass, and tell everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from .columns import INPUT_URLS, header_faults
from .encoding import REPLACEMENT
from .faults import FaultList, fault
from .layout import Layout
from .model import BadCatalogue, CatalogueLimits, Fault, Survey
from .opening import open_layout
from .quoting import fault_of_broken
from .records import BrokenRecord, Rows, Run, has_text
from .row_options import OptionCells
from .urls import CheckUrl, UrlRules, split_urls


def survey(stream: BinaryIO, limits: CatalogueLimits, check_url: CheckUrl) -> Survey:
    """Count the rows and images of a seekable file and find all its faults; nothing is raised.

    `check_url` returns None, or the public reason why a URL may not be fetched. It is asked once
    for each scheme and authority, with a bare path. Memory does not grow with the file.
    """
    found = FaultList()
    try:
        layout = open_layout(stream)
    except BadCatalogue as bad:
        found.add_for_file([bad.fault])
        return Survey(0, 0, found.first, found.count)
    found.add_for_file(_character_faults(stream, layout))
    found.add_for_file(_header_faults(layout))
    rows = _RowSurvey(layout, limits, UrlRules(check_url), found)
    rows.read(stream)
    return Survey(rows.total_rows, rows.total_images, found.first, found.count)


class _RowSurvey:
    """The pass over the rows: two counts, and faults into a list."""

    def __init__(self, layout: Layout, limits: CatalogueLimits, rules: UrlRules,
                 found: FaultList) -> None:
        self.total_rows = 0
        self.total_images = 0
        self._layout = layout
        self._limits = limits
        self._rules = rules
        self._found = found
        self._optional = OptionCells(layout)

    def read(self, stream: BinaryIO) -> None:
        """Read all rows, then judge their number."""
        self._judge_width(self._layout.header_row, self._layout.header, self._limits.max_columns)
        for first, run in self._within_limit(self._layout.rows(stream)):
            if isinstance(run, BrokenRecord):
                self._found.add(fault_of_broken(run, self._layout))
            elif not self._optional.present and self._are_plain(run):
                self.total_rows += len(run)
                self.total_images += len(run)
            else:
                for number, cells in enumerate(run, first):
                    if has_text(cells):
                        self.total_rows += 1
                        self._examine(number, cells)
        self._judge_counts()

    def _within_limit(self, runs: Iterator[Run]) -> Iterator[Run]:
        room = self._limits.max_rows
        for first, run in runs:
            length = 1 if isinstance(run, BrokenRecord) else len(run)
            if length > room:
                if not isinstance(run, BrokenRecord):
                    yield first, run[:room]
                self._found.add_for_file([fault("too_many_rows", limit=self._limits.max_rows)])
                return
            room -= length
            yield first, run

    def _are_plain(self, run: Rows) -> bool:
        """Tell whether each row has one URL and no fault, as nearly all have, at one glance."""
        grid = self._layout.grid(run)
        return grid is not None and self._rules.are_all_good(
            grid.columns[self._layout.indices[INPUT_URLS]])

    def _examine(self, number: int, cells: list[str]) -> None:
        # A header that is too wide is told once, and not again for each row under it.
        most = max(self._limits.max_columns, len(self._layout.header))
        if self._judge_width(number, cells, most) and INPUT_URLS in self._layout.indices:
            surplus = self._layout.surplus(cells)
            if surplus:
                self._found.add(fault("extra_cells", number, value=surplus))
            row = self._layout.lined_up(cells)
            self._examine_urls(number, row)
            for found in self._optional.faults(number, row):
                self._found.add(found)

    def _examine_urls(self, number: int, cells: Sequence[str]) -> None:
        urls_at = self._layout.indices[INPUT_URLS]
        title = self._layout.title(urls_at)
        urls = split_urls(cells[urls_at])
        self.total_images += len(urls)
        if not urls:
            self._found.add(fault("missing_url", number, title))
        for url in urls:
            objection = self._rules.objection(url)
            if objection is not None:
                code, reason = objection
                self._found.add(fault(code, number, title, url, reason=reason))

    def _judge_width(self, number: int, cells: Sequence[str], most: int) -> bool:
        if len(cells) > most:
            self._found.add(fault("too_many_columns", number, found=len(cells), limit=most))
        return len(cells) <= most

    def _judge_counts(self) -> None:
        if not self.total_rows and not self._found.count:
            self._found.add_for_file([fault("no_rows", header_row=self._layout.header_row)])
        if self.total_images > self._limits.max_images:
            self._found.add_for_file([fault("too_many_images", limit=self._limits.max_images)])


def _header_faults(layout: Layout) -> Iterator[Fault]:
    # A header whose quotation marks are broken has no names to judge; its row tells the fault.
    return header_faults(layout.header_row, layout.header) if layout.header else iter(())


def _character_faults(stream: BinaryIO, layout: Layout) -> Iterator[Fault]:
    if not layout.format.encoding.intact:
        yield _fault_at("bad_encoding", REPLACEMENT, stream, layout)
    if layout.format.encoding.has_nul:
        yield _fault_at("nul_character", "\0", stream, layout)


def _fault_at(code: str, character: str, stream: BinaryIO, layout: Layout) -> Fault:
    """Return the fault of a character, placed at the first cell that has it."""
    for number, cells in layout.format.records(stream):
        if isinstance(cells, BrokenRecord):
            continue
        for index, cell in enumerate(cells):
            if character in cell:
                return fault(code, number, layout.title(index), cell)
    return fault(code)
