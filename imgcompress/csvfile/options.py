"""The optional columns: compression options and the output name of a single row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from .. import catalogue as known
from ..catalogue import BOUNDS, EFFORTS, OUTPUT_FORMATS
from .columns import (
    COMPRESSION_PERCENTAGE,
    EFFORT,
    FORMAT,
    FORMATS,
    METADATA,
    OPTION_COLUMNS,
    OUTPUT_NAME,
    QUALITY,
    Column,
    Sample,
    folded_name,
)
from .layout import Layout
from .model import Issue, RowOptions, enumerated, issue
from .parser import ColumnBatch

MAX_NAME_CHARS = 150
# The most names in a list of formats; names may come twice, as `jpg` and `jpeg`.
MAX_FORMATS = 20

_SPELLINGS = {"jpg": "jpeg"}
_BOUNDS = {column: BOUNDS[column.name] for column in OPTION_COLUMNS if column.name in BOUNDS}
_COMBINATIONS_REMEMBERED = 4_096

FoundIssue = tuple[Column, str, dict[str, object]]


class OptionCells:
    """The option cells of a file's rows; an empty cell leaves the job's option as it is."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._columns = [column for column in OPTION_COLUMNS if column in layout.indices]
        self._name_at = layout.indices.get(OUTPUT_NAME)
        # Few combinations recur in many rows.
        self._judge = lru_cache(maxsize=_COMBINATIONS_REMEMBERED)(self._judge_uncached)
        self.present = bool(self._columns) or self._name_at is not None

    def options(self, cells: Sequence[str]) -> RowOptions | None:
        """Return the options of a row without issues, or None if it sets none."""
        return self._judge(self._texts(cells))[0] if self._columns else None

    def output_name(self, cells: Sequence[str]) -> str | None:
        """Return the output name that a row sets for its images, or None."""
        return cells[self._name_at].strip() or None if self._name_at is not None else None

    def issues(self, row: int, cells: Sequence[str]) -> Iterator[Issue]:
        """Yield the issues of a row's option cells."""
        for column, code, found in self._judge(self._texts(cells))[1]:
            index = self._layout.indices[column]
            yield issue(code, row, self._layout.title(index), cells[index], **found)
        name = self.output_name(cells)
        if name is not None and not _is_file_name(name):
            yield issue(
                "invalid_output_name",
                row,
                self._layout.title(self._name_at or 0),
                name,
                limit=MAX_NAME_CHARS,
            )

    def count_issues(self, grid: ColumnBatch) -> int:
        """Return the number of issues in the option cells of some rows."""
        if not self.present:
            return 0
        issues = 0
        cells = {column: grid.columns[self._layout.indices[column]] for column in self._columns}
        for column, texts in cells.items():
            parse = _PARSERS[column]
            issues += sum(
                number
                for text, number in Counter(texts).items()
                if (bare := text.strip()) and parse(bare) is None
            )
        if {QUALITY, COMPRESSION_PERCENTAGE} <= cells.keys():
            issues += sum(
                bool(quality.strip() and percentage.strip())
                for quality, percentage in zip(
                    cells[QUALITY], cells[COMPRESSION_PERCENTAGE], strict=True
                )
            )
        if self._name_at is not None:
            names = filter(None, map(str.strip, grid.columns[self._name_at]))
            issues += sum(not _is_file_name(name) for name in names)
        return issues

    def _texts(self, cells: Sequence[str]) -> tuple[str, ...]:
        return tuple(cells[self._layout.indices[column]] for column in self._columns)

    def _judge_uncached(self, texts: tuple[str, ...]) -> tuple[RowOptions | None, list[FoundIssue]]:
        given = {
            column: text.strip()
            for column, text in zip(self._columns, texts, strict=True)
            if text.strip()
        }
        values = {column: _PARSERS[column](text) for column, text in given.items()}
        issues = [_issue_of(column) for column, value in values.items() if value is None]
        if {QUALITY, COMPRESSION_PERCENTAGE} <= given.keys():
            issues.append((QUALITY, "conflicting_options", {}))
        options: RowOptions = {column.name: value for column, value in values.items()}
        if COMPRESSION_PERCENTAGE in given:
            # Otherwise a fixed quality of the job would still replace the percentage.
            options[QUALITY.name] = None
        return options or None, issues


def places_of_values(column: Column, sample: Sample) -> list[int]:
    """Return the places of columns named like an option that hold only values of it."""
    found = []
    for place, title in enumerate(sample.header):
        if folded_name(title) in column.known_as:
            texts = {row[place].strip() for row in sample.rows if place < len(row)} - {""}
            if texts and all(_PARSERS[column](text) is not None for text in texts):
                found.append(place)
    return found


def _issue_of(column: Column) -> FoundIssue:
    if column is FORMAT:
        return column, "invalid_format", {"formats": enumerated(known.FORMATS)}
    if column is FORMATS:
        return column, "invalid_formats", {"formats": enumerated(OUTPUT_FORMATS)}
    if column is EFFORT:
        return column, "invalid_effort", {"efforts": enumerated(EFFORTS)}
    if column is METADATA:
        return column, "invalid_metadata", {"choices": enumerated(known.METADATA)}
    low, high = _BOUNDS[column]
    return column, "invalid_number", {"low": low, "high": high}


def parse_format(text: str) -> str | None:
    """Return the format that a text names, or None; `jpg` means `jpeg`, and case is ignored."""
    name = text.casefold()
    name = _SPELLINGS.get(name, name)
    return name if name in known.FORMATS else None


def parse_formats(text: str) -> str | None:
    """Return the output formats that a text names, separated by commas, or None.

    They come in the order of OUTPUT_FORMATS, each once.
    """
    if text.count(",") >= MAX_FORMATS:
        return None
    names = {parse_format(name.strip()) for name in text.split(",")}
    if not names <= set(OUTPUT_FORMATS):
        return None
    return ",".join(name for name in OUTPUT_FORMATS if name in names)


def parse_effort(text: str) -> str | None:
    """Return the effort that a text names, or None; case is ignored."""
    name = text.casefold()
    return name if name in EFFORTS else None


def parse_metadata(text: str) -> str | None:
    """Return the choice of metadata that a text names, or None; case is ignored."""
    name = text.casefold()
    return name if name in known.METADATA else None


def _number_parser(low: int, high: int) -> Callable[[str], int | None]:
    def parse(text: str) -> int | None:
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(high))
        return int(text) if plain and low <= int(text) <= high else None

    return parse


_PARSERS: dict[Column, Callable[[str], str | int | None]] = {
    FORMAT: parse_format,
    EFFORT: parse_effort,
    FORMATS: parse_formats,
    METADATA: parse_metadata,
    **{column: _number_parser(*bounds) for column, bounds in _BOUNDS.items()},
}


def _is_file_name(name: str) -> bool:
    return (
        len(name) <= MAX_NAME_CHARS
        and name.isprintable()
        and name.strip(".") != ""
        and "/" not in name
        and "\\" not in name
    )
