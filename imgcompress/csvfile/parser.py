"""Split text into records and columns, fast and with line numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any


class ColumnBatch:
    """Some rows that follow one another, each with one cell in each of the same columns."""

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[list[str]]:
        return map(list, zip(*self.columns, strict=True))

    def __getitem__(self, rows: slice) -> ColumnBatch:
        return ColumnBatch([column[rows] for column in self.columns])


def parse_columns(text: str, delimiter: str, width: int) -> ColumnBatch | None:
    """Return lines of `width` cells as a grid; None if one has more or fewer, or quotation marks.

    It finds the same cells as csv, which takes a third longer, and longer still until its rows are
    columns. Single cells become no grid, since csv distinguishes an empty line from a row.
    """
    lines = text.count("\n")
    if '"' in text or width < 2 or not lines or text.count(delimiter) != lines * (width - 1):
        return None
    ending = "\r\n" if "\r" in text else "\n"
    if ending == "\r\n" and not text.count(ending) == text.count("\r") == lines:
        return None
    # A line end becomes a cell of its own: in a grid these, and no others, are each where they
    # belong. The last of them is followed by an empty cell.
    cells = text.replace(ending, f"{delimiter}\n{delimiter}").split(delimiter)
    if cells.pop() or cells[width :: width + 1].count("\n") != lines:
        return None
    return ColumnBatch([cells[place :: width + 1] for place in range(width)])


# The limit of the csv module is one for the whole process, so it is a constant and no argument.
# It bounds the memory that an unclosed quotation mark takes. A description with
# pictures in it is longer than Python's own default of 131,072.
MAX_CELL_CHARS = 524_288
csv.field_size_limit(MAX_CELL_CHARS)

# A row of a thousand columns may still hold a thousand characters in each.
MAX_ROW_CHARS = 1_048_576


@dataclass(frozen=True)
class BrokenRecord:
    """A malformed CSV record: its number, its first lines, and the reason.

    With `final`, its end, and so the rest of the file, could not be found.
    """

    number: int
    text: str
    too_long: bool
    final: bool


NumberedRecord = tuple[int, list[str] | BrokenRecord]
# The number of the first of some records that follow one another, or of a broken one.
Rows = list[list[str]] | ColumnBatch
Run = tuple[int, Rows | BrokenRecord]


def has_text(cells: Iterable[str]) -> bool:
    """Return whether a row contains anything but blanks."""
    return any(map(str.strip, cells))


class _RowTooLong(csv.Error):
    """A row has no end within MAX_ROW_CHARS."""


class Records:
    """The records of a CSV text, numbered as a spreadsheet numbers its rows, from 1.

    A blank line is a row; a newline within quotation marks makes none. Iterating yields the
    number and the cells of each record, or a BrokenRecord in place of the cells.
    """

    def __init__(
        self, blocks: Iterable[str], delimiter: str, blanks_before_quotes: bool = False
    ) -> None:
        self._blocks = blocks
        self._delimiter = delimiter
        self._skip_blanks = blanks_before_quotes
        self._number = 0
        self._lines_read: list[str] = []
        # Whether the quotation marks of the record that was yielded last are written as \\".
        self.escaped = False

    @property
    def text(self) -> str:
        """Return the record that was yielded last as it is written, with its line end."""
        return "".join(self._lines_read)

    @property
    def line_ending(self) -> str:
        """Return LF if the record that was yielded last ended with it, else CRLF."""
        last = self._lines_read[-1] if self._lines_read else ""
        return "\n" if last.endswith("\n") and not last.endswith("\r\n") else "\r\n"

    def __iter__(self) -> Iterator[NumberedRecord]:
        blocks = self._whole_lines()
        try:
            for block in blocks:
                yield from self._one_by_one(block, blocks)
        except _RowTooLong as error:
            self._number += 1
            yield self._number, self._broken(self._number, error, final=True)

    def runs(self, width: int = 0) -> Iterator[Run]:
        """Yield the same records, many at a time, in a third less time.

        If all of them have the same number of cells, a run is a grid, which is faster still.
        """
        blocks = self._whole_lines()
        try:
            for block in blocks:
                if '"' in block:
                    yield from _runs_of(self._one_by_one(block, blocks))
                # A cell that is too long would not be noticed.
                elif len(block) <= MAX_CELL_CHARS and (
                    grid := parse_columns(block, self._delimiter, width)
                ):
                    self._lines_read = []
                    self._number += len(grid)
                    yield self._number + 1 - len(grid), grid
                else:
                    yield from self._all_at_once(block)
        except _RowTooLong as error:
            self._number += 1
            yield self._number, self._broken(self._number, error, final=True)

    def _all_at_once(self, block: str) -> Iterator[Run]:
        """Yield the records of a block without quotation marks, of which each line is one."""
        before = self._number
        first = before + 1
        reader = self._reader(io.StringIO(block, newline=""))
        while True:
            run: list[list[str]] = []
            try:
                run.extend(reader)
            except csv.Error as error:
                self._number = before + reader.line_num
                lines = io.StringIO(block, newline="")
                self._lines_read = [next(islice(lines, reader.line_num - 1, None), "")]
                yield first, run
                yield self._number, self._broken(self._number, error, final=False)
                first = self._number + 1
            else:
                break
        self._number = before + reader.line_num
        self._lines_read = []
        yield first, run

    def _one_by_one(
        self, block: str, blocks: Generator[str, None, None]
    ) -> Iterator[NumberedRecord]:
        """Yield the records that begin in a block; the last of them may end in a later one."""
        lines = self._lines(block, blocks)
        reader = self._reader(lines)
        while True:
            self._lines_read.clear()
            self.escaped = False
            record: list[str] | BrokenRecord
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                record = self._mended(lines, error)
                if isinstance(record, BrokenRecord) and record.final:
                    blocks.close()
            self._number += 1
            yield self._number, record

    def _mended(self, lines: Iterator[str], error: csv.Error) -> list[str] | BrokenRecord:
        """Return a record with the quotation marks that PHP writes as \\", or a BrokenRecord."""
        # A record that is broken within one line ends with it; only quotation marks go on.
        final = isinstance(error, _RowTooLong) or len(self._lines_read) != 1
        broken = self._broken(self._number + 1, error, final=final)
        if isinstance(error, _RowTooLong) or not any('\\"' in line for line in self._lines_read):
            return broken
        read = list(self._lines_read)
        try:
            record: list[str] = next(
                self._reader(line.replace('\\"', '""') for line in chain(read, lines))
            )
        except (csv.Error, StopIteration):
            # What was read in vain beyond the record is lost.
            return broken if self._lines_read == read else replace(broken, final=True)
        self.escaped = True
        return record

    def _reader(self, lines: Iterable[str]) -> Any:
        return csv.reader(
            lines, delimiter=self._delimiter, strict=True, skipinitialspace=self._skip_blanks
        )

    def _broken(self, number: int, error: csv.Error, *, final: bool) -> BrokenRecord:
        return BrokenRecord(
            number, "".join(self._lines_read)[:MAX_ROW_CHARS], isinstance(error, _RowTooLong), final
        )

    def _lines(self, block: str, blocks: Generator[str, None, None]) -> Iterator[str]:
        """Yield a block's lines, and those of the next as long as a record goes on in it."""
        lines_read = self._lines_read
        next_block: str | None = block
        while next_block is not None:
            # StringIO splits at LF, CR and CRLF alone; str.splitlines knows many more line ends.
            for line in io.StringIO(next_block, newline=""):
                lines_read.append(line)
                yield line
            next_block = next(blocks, None) if lines_read else None
            if next_block is not None and sum(map(len, lines_read)) > MAX_ROW_CHARS:
                raise _RowTooLong

    def _whole_lines(self) -> Generator[str, None, None]:
        """Yield the text in blocks that end where a line ends."""
        rest = ""
        for block in self._blocks:
            rest += block
            # A CR at the very end may be the first half of a CRLF.
            end = max(rest.rfind("\n"), rest.rfind("\r", 0, -1)) + 1
            if end:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > MAX_ROW_CHARS:
                self._lines_read.append(rest)
                raise _RowTooLong
        yield rest


def _runs_of(records: Iterable[NumberedRecord]) -> Iterator[Run]:
    first, run = 0, list[list[str]]()
    for number, record in records:
        if isinstance(record, BrokenRecord):
            yield first, run
            yield number, record
            run = []
        else:
            first = first if run else number
            run.append(record)
    yield first, run
