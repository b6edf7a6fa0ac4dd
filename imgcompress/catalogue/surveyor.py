"""Look a whole file over in one pass, and tell everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from .columns import INPUT_URLS, header_faults
from .counting import RunCounter
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
        self._options = OptionCells(layout)

    def read(self, stream: BinaryIO) -> None:
        """Read all rows, then judge their number."""
        counter = RunCounter(self._layout, self._limits, self._rules, self._options)
        found = list(self._width_faults(self._layout.header_row, self._layout.header,
                                        self._limits.max_columns))
        self._found.add_for_rows(len(found), found)
        for first, run in self._within_limit(self._layout.rows(stream)):
            count = counter.count(run)
            self.total_rows += count.rows
            self.total_images += count.images
            if count.faults:
                self._found.add_for_rows(count.faults, self._faults_of(first, run))
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

    def _faults_of(self, first: int, run: Rows | BrokenRecord) -> Iterator[Fault]:
        """Yield the faults of a run, which are as many as were counted."""
        if isinstance(run, BrokenRecord):
            yield fault_of_broken(run, self._layout)
            return
        # A header that is too wide is told once, and not again for each row under it.
        most = max(self._limits.max_columns, len(self._layout.header))
        for number, cells in enumerate(run, first):
            if len(cells) > most:
                yield from self._width_faults(number, cells, most)
            elif INPUT_URLS in self._layout.indices and has_text(cells):
                row, surplus = self._layout.sorted_out(cells)
                if surplus:
                    yield fault("extra_cells", number, value=surplus)
                yield from self._url_faults(number, row)
                yield from self._options.faults(number, row)

    def _url_faults(self, number: int, cells: Sequence[str]) -> Iterator[Fault]:
        urls_at = self._layout.indices[INPUT_URLS]
        title = self._layout.title(urls_at)
        urls = split_urls(cells[urls_at])
        if not urls:
            yield fault("missing_url", number, title)
        for url in urls:
            objection = self._rules.objection(url)
            if objection is not None:
                code, reason = objection
                yield fault(code, number, title, url, reason=reason)

    def _width_faults(self, number: int, cells: Sequence[str], most: int) -> Iterator[Fault]:
        if len(cells) > most and has_text(cells):
            yield fault("too_many_columns", number, found=len(cells), limit=most)

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
