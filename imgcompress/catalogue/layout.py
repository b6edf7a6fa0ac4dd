"""How a file is laid out: separator, header and columns, and which cell belongs to which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import BinaryIO

from .columns import INPUT_URLS, Column
from .encoding import Encoding, text_blocks
from .grid import Grid
from .records import BrokenRecord, Records, Rows, Run
from .urls import is_url_or_blank


@dataclass(frozen=True)
class Format:
    """How the bytes of a file become records.

    `sep_line` is Excel's instruction line (`sep=;`) as it stands in the file, or empty.
    """

    encoding: Encoding
    delimiter: str
    sep_line: str = ""

    def records(self, stream: BinaryIO) -> Records:
        """Return all records of a file; a spreadsheet gives the instruction line no number."""
        blocks = text_blocks(stream, self.encoding)
        if self.sep_line:
            blocks = _without_start(blocks, len(self.sep_line))
        return Records(blocks, self.delimiter)


@dataclass(frozen=True)
class Layout:
    """What there is to know of a file before its first product is read.

    `line_ending` is LF or CRLF; `header` is empty where its quotation marks are broken; `indices`
    tells where each of our columns is, as far as that is clear.
    """

    format: Format
    line_ending: str
    header_row: int
    header: tuple[str, ...]
    indices: dict[Column, int]

    def rows(self, stream: BinaryIO) -> Iterator[Run]:
        """Yield runs of the records below the header, or from it on if it is broken."""
        skipped = self.header_row - (not self.header)
        for first, run in self.format.records(stream).runs(self.plain_width):
            if first > skipped:
                yield first, run
            elif not isinstance(run, BrokenRecord) and len(run) > skipped + 1 - first:
                yield skipped + 1, run[skipped + 1 - first:]

    def title(self, index: int) -> str | None:
        """Return the name of a column as the caller wrote it, or None where it has none."""
        return self.header[index].strip() or None if index < len(self.header) else None

    def grid(self, rows: Rows) -> Grid | None:
        """Return rows of which each has each cell in its column by columns; else None."""
        if isinstance(rows, Grid):
            return rows
        if rows and all(len(row) == self.plain_width for row in rows):
            return Grid(list(zip(*rows, strict=True)))
        return None

    @cached_property
    def plain_width(self) -> int:
        """Return how many cells a row has whose cells are sure to stand in their columns, or -1."""
        sure = self._named_width == len(self.header) and INPUT_URLS in self.indices
        return self._named_width if sure else -1

    def lined_up(self, cells: list[str]) -> list[str]:
        """Return a row's cells, as many as the header's, with spilled URLs in the URL cell."""
        return self.sorted_out(cells)[0]

    def sorted_out(self, cells: list[str]) -> tuple[list[str], str]:
        """Return a row's cells lined up, and the text of those that belong to no column."""
        if len(cells) == self.plain_width:
            return cells, ""
        if len(cells) <= self._named_width:
            return self._filled(cells), ""
        spill = self._spill(cells)
        if not spill:
            surplus = self._joint.join(filter(str.strip, cells[len(self.header):]))
            return self._filled(cells[:len(self.header)]), surplus
        row = self._filled(cells[:self._named_width])
        urls_at = self.indices[INPUT_URLS]
        row[urls_at] = self._joint.join([row[urls_at], *spill])
        return row, ""

    def _filled(self, cells: list[str]) -> list[str]:
        return cells + [""] * (len(self.header) - len(cells))

    def _spill(self, cells: list[str]) -> list[str]:
        """Return what spilled from the URL cell into the cells after the last named column.

        URLs always did. Other text did too if it lies beyond a header whose last column is the
        URLs: a URL with a comma in it comes apart in the same way.
        """
        after = _without_blank_end(cells[self._named_width:])
        beyond_header = len(after) > len(self.header) - self._named_width
        urls_are_last = self.indices[INPUT_URLS] == self._named_width - 1
        if all(map(is_url_or_blank, after)) or (beyond_header and urls_are_last):
            return after
        return []

    @cached_property
    def _named_width(self) -> int:
        return max((i for i, name in enumerate(self.header, 1) if name.strip()), default=0)

    @property
    def _joint(self) -> str:
        # What parts two URLs in a cell; other separators would become a part of the first.
        return self.format.delimiter if self.format.delimiter in ",;" else " "


def _without_start(blocks: Iterator[str], length: int) -> Iterator[str]:
    start = ""
    while len(start) < length:
        start += next(blocks)
    return chain([start[length:]], blocks)


def _without_blank_end(cells: list[str]) -> list[str]:
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return cells[:end]
