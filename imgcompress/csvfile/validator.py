"""Validate a whole file in one pass, and report every issue in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, NamedTuple

from .columns import OPTION_COLUMNS, Sample, header_issues
from .encoding import REPLACEMENT, STRAY
from .layout import Layout
from .model import (
    BadCatalogue,
    CatalogueLimits,
    Issue,
    IssueList,
    Validation,
    Wishes,
    enumerated,
    issue,
)
from .options import OptionCells, places_of_values
from .parser import BrokenRecord, ColumnBatch, Rows, Run, has_text
from .rows import BrokenRow, RowChecks, issue_of_broken_record
from .sniff import open_layout
from .urls import CheckUrl, UrlRules


class RunCount(NamedTuple):
    """The numbers of rows that are not blank, images and issues in a run of records.

    URLs that cannot be fetched are counted separately from the other issues.
    """

    rows: int
    images: int
    issues: int
    bad_urls: int = 0


class RunCounter:
    """Count the rows, images and issues in runs of one file's records."""

    def __init__(
        self, layout: Layout, limits: CatalogueLimits, rules: UrlRules, options: OptionCells
    ) -> None:
        self._layout = layout
        # A header that is too wide is reported once, not again for each row below it.
        self._max_columns = max(limits.max_columns, len(layout.header))
        self._rules = rules
        self._options = options

    def count(self, run: Rows | BrokenRecord) -> RunCount:
        """Count a run; the number of issues equals that of a check row by row."""
        if isinstance(run, BrokenRecord):
            return RunCount(0, 0, 1)
        grid = self._layout.grid(run)
        if grid is None:
            return self._count_uneven(run)
        images, issues, bad_urls, without = self._count_columns(grid)
        blank = sum(not has_text([column[index] for column in grid.columns]) for index in without)
        return RunCount(len(grid) - blank, images, issues, bad_urls)

    def _count_uneven(self, run: Rows) -> RunCount:
        """Count rows of different widths: each is aligned with the header first."""
        rows = issues = images = bad_urls = 0
        lined_up = []
        for cells in run:
            if not has_text(cells):
                continue
            rows += 1
            if len(cells) > self._max_columns:
                issues += 1
            elif self._layout.chosen:
                row, surplus = self._layout.sorted_out(cells)
                lined_up.append(row)
                issues += bool(surplus)
        if lined_up:
            images, more, bad_urls, _ = self._count_columns(
                ColumnBatch(list(zip(*lined_up, strict=True)))
            )
            issues += more
        return RunCount(rows, images, issues, bad_urls)

    def _count_columns(self, grid: ColumnBatch) -> tuple[int, int, int, Collection[int]]:
        """Return the number of images, issues and bad URLs, and which rows have no URL."""
        images = bad_urls = 0
        without: Collection[int] | None = None
        for place in self._layout.url_places:
            found, bad, none = self._rules.count(grid.columns[place])
            images += found
            bad_urls += bad
            without = none if without is None else set(without).intersection(none)
        return images, self._options.count_issues(grid), bad_urls, without or ()


NO_WISHES = Wishes()


def validate_file(
    stream: BinaryIO, limits: CatalogueLimits, check_url: CheckUrl, wishes: Wishes = NO_WISHES
) -> Validation:
    """Count the rows and images of a seekable file and find all its issues; nothing is raised.

    `check_url` returns None, or the public reason why a URL may not be fetched. It is called once
    for each scheme and authority, with a bare path. Memory does not grow with the file.
    """
    found = IssueList()
    try:
        layout, sample = open_layout(stream, wishes)
    except BadCatalogue as bad:
        found.add_for_file([bad.issue])
        return Validation(0, 0, found.first, found.count)
    found.add_for_file(_character_issues(stream, layout, wishes.encoding))
    found.add_for_file(_header_issues(layout, sample, wishes))
    # Issues that the caller tolerates are reported as warnings.
    passed = IssueList() if wishes.skip_bad_rows else found
    rules = UrlRules(check_url, layout.url_cells)
    rows = _RowValidator(layout, limits, rules, found, passed)
    rows.read(stream)
    warnings = [*_warnings(stream, layout, sample), *(passed.first if passed is not found else ())]
    return Validation(
        rows.total_rows,
        rows.total_images,
        found.first,
        found.count,
        tuple(warnings),
        layout,
        rows.skipped_rows,
    )


class _RowValidator:
    """Validate the rows in one pass: count them, and collect their issues."""

    def __init__(
        self,
        layout: Layout,
        limits: CatalogueLimits,
        rules: UrlRules,
        found: IssueList,
        passed: IssueList,
    ) -> None:
        self.total_rows = 0
        self.total_images = 0
        self.skipped_rows = 0
        self._layout = layout
        self._limits = limits
        self._rules = rules
        self._found = found
        self._passed = passed
        self._options = OptionCells(layout)
        self._checks = RowChecks(layout, self._options, limits)

    def read(self, stream: BinaryIO) -> None:
        """Read all rows, then check their number."""
        counter = RunCounter(self._layout, self._limits, self._rules, self._options)
        header = self._layout.header
        if len(header) > self._limits.max_columns and has_text(header):
            too_wide = issue(
                "too_many_columns",
                self._layout.header_row,
                found=len(header),
                limit=self._limits.max_columns,
            )
            self._found.add_for_rows(1, [too_wide])
        for first, run in self._within_limit(self._layout.rows(stream)):
            count = counter.count(run)
            if count.issues and self._layout.skip:
                run = self._without_errors(first, run)
                rows = count.rows
                count = counter.count(run)._replace(rows=max(rows, 1), bad_urls=0)
            self.total_rows += count.rows
            self.total_images += count.images
            number = count.issues + count.bad_urls
            if number:
                # If rows are skipped, only bad URLs and a record that ends the file are left.
                rejected = isinstance(run, BrokenRecord) or not self._layout.skip
                issues = self._found if rejected else self._passed
                issues.add_for_rows(number, self._issues_of(first, run))
        if not self.total_images and self._passed is not self._found:
            # If every row was skipped, the issues of the rows are those of the file.
            self._found.add_for_rows(self._passed.count, self._passed.first)
        self._judge_counts()

    def _without_errors(self, first: int, run: Rows | BrokenRecord) -> Rows | BrokenRecord:
        """Return a run with blank rows in place of the skipped rows, those with issues.

        All issues of the run are kept as tolerated ones.
        """
        if isinstance(run, BrokenRecord):
            if not self._layout.passes_over(run):
                return run
            run = [BrokenRow(run, self._layout)]
        rows = list[list[str]]()
        for number, cells in enumerate(run, first):
            issues = [*self._checks.issues(number, cells)]
            self.skipped_rows += bool(issues)
            rows.append([] if issues else cells)
            if not issues and has_text(cells):
                issues = [*self._bad_urls_of(number, self._layout.lined_up(cells))]
            self._passed.add_for_rows(len(issues), issues)
        return rows

    def _within_limit(self, runs: Iterator[Run]) -> Iterator[Run]:
        room = self._limits.max_rows
        for first, run in runs:
            length = 1 if isinstance(run, BrokenRecord) else len(run)
            if length > room:
                if not isinstance(run, BrokenRecord):
                    yield first, run[:room]
                self._found.add_for_file([issue("too_many_rows", limit=self._limits.max_rows)])
                return
            room -= length
            yield first, run

    def _issues_of(self, first: int, run: Rows | BrokenRecord) -> Iterator[Issue]:
        """Yield the issues of a run; their number equals the count."""
        if isinstance(run, BrokenRecord):
            yield issue_of_broken_record(run, self._layout)
            return
        for number, cells in enumerate(run, first):
            if self._layout.chosen and has_text(cells) and len(cells) <= self._checks.most_cells:
                yield from self._bad_urls_of(number, self._layout.lined_up(cells))
            yield from self._checks.issues(number, cells)

    def _bad_urls_of(self, number: int, row: Sequence[str]) -> Iterator[Issue]:
        for place in self._layout.url_places:
            title = self._layout.title(place)
            for url in self._layout.url_cells.split(row[place]):
                found = self._rules.issue_of(url)
                if found is not None:
                    code, reason = found
                    yield issue(code, number, title, url, reason=reason)

    def _judge_counts(self) -> None:
        if not self.total_rows and not self._found.count:
            self._found.add_for_file([issue("no_rows", header_row=self._layout.header_row)])
        elif not self.total_images and not self._found.count:
            self._found.add_for_file(
                [
                    issue(
                        "no_images",
                        columns=enumerated(
                            [self._layout.title(place) or "" for place in self._layout.url_places]
                        ),
                    )
                ]
            )
        if self.total_images > self._limits.max_images:
            self._found.add_for_file([issue("too_many_images", limit=self._limits.max_images)])


def _header_issues(layout: Layout, sample: Sample, wishes: Wishes) -> Iterator[Issue]:
    # A header with broken quotation marks has no names to check; its row reports the issue.
    if not layout.header:
        return iter(())
    holding = (
        [] if layout.chosen else [layout.title(place) or "" for place in sample.image_columns()]
    )
    return header_issues(layout.header_row, layout.header, layout.chosen, wishes, holding)


def _warnings(stream: BinaryIO, layout: Layout, sample: Sample) -> Iterator[Issue]:
    """Yield warnings about content that seems to be meant for the service but is not read."""
    if not layout.chosen:
        return
    if layout.format.encoding.errors == STRAY:
        yield _first_stray(stream, layout)
    if layout.description_row:
        yield issue("description_row", layout.description_row)
    unread = [layout.title(place) or "" for place in sample.image_columns(layout.url_places)]
    if unread:
        yield issue("unread_columns", layout.header_row, holding=enumerated(unread))
    options = [
        layout.title(place) or ""
        for column in OPTION_COLUMNS
        if column not in layout.indices
        for place in places_of_values(column, sample)
    ]
    if options:
        yield issue("unread_options", layout.header_row, columns=enumerated(options))


def _character_issues(stream: BinaryIO, layout: Layout, named: str | None) -> Iterator[Issue]:
    if not layout.format.encoding.intact:
        if named:
            yield issue("wrong_encoding", encoding=named)
        else:
            yield _issue_at("bad_encoding", REPLACEMENT, stream, layout)
    if layout.format.encoding.has_nul:
        yield _issue_at("nul_character", "\0", stream, layout)


def _first_stray(stream: BinaryIO, layout: Layout) -> Issue:
    """Return the warning about bytes that are not UTF-8, at the first cell with one."""
    apart = replace(
        layout.format, encoding=replace(layout.format.encoding, errors="surrogateescape")
    )
    for number, cells in apart.records(stream):
        if not isinstance(cells, BrokenRecord):
            for index, cell in enumerate(cells):
                if not cell.isascii() and any(
                    "\udc80" <= character <= "\udcff" for character in cell
                ):
                    plain = cell.encode("utf-8", "surrogateescape").decode("utf-8", STRAY)
                    return issue("stray_bytes", number, layout.title(index), plain)
    return issue("stray_bytes")


def _issue_at(code: str, character: str, stream: BinaryIO, layout: Layout) -> Issue:
    """Return the issue of a forbidden character, at the first cell that contains it."""
    for number, cells in layout.format.records(stream):
        if isinstance(cells, BrokenRecord):
            continue
        for index, cell in enumerate(cells):
            if character in cell:
                return issue(code, number, layout.title(index), cell)
    return issue(code)
