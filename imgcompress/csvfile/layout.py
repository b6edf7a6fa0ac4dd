"""How a file is laid out: separator, header and columns, and which cell belongs to which.

A job keeps the layout of its file, and the form of its output, for later reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from .columns import ChosenColumns, Column, options_of
from .encoding import Encoding, text_blocks
from .model import BadCatalogue, issue, shortened
from .parser import BrokenRecord, ColumnBatch, Records, Rows, Run
from .unpacking import Table
from .url_cells import UrlCells
from .urls import is_url_or_blank

# The header is among these.
HEADER_SEARCHED_ROWS = 1_000


@dataclass(frozen=True)
class Format:
    """How the bytes of a file become records.

    `sep_line` is Excel's instruction line (`sep=;`) as it stands in the file, or empty. With
    `blanks_before_quotes`, blanks behind a separator are no part of the cell.
    """

    encoding: Encoding
    delimiter: str
    sep_line: str = ""
    blanks_before_quotes: bool = False

    def records(self, stream: BinaryIO) -> Records:
        """Return all records of a file; a spreadsheet gives the instruction line no number."""
        blocks = text_blocks(stream, self.encoding)
        if self.sep_line:
            blocks = _without_start(blocks, len(self.sep_line))
        return Records(blocks, self.delimiter, self.blanks_before_quotes)


@dataclass(frozen=True)
class Layout:
    """The properties of a file that are known before its first product is read.

    `line_ending` is LF or CRLF; `header` is empty where its quotation marks are broken. `chosen`
    are the columns of images, names and identifiers, or None where there are none; `indices` says
    where each option column is, as far as that is clear. With `skip`, rows with errors are passed
    over. `description_row` is a row below the header that is not a product, or 0.
    """

    format: Format
    line_ending: str
    header_row: int
    header: tuple[str, ...]
    chosen: ChosenColumns | None
    indices: dict[Column, int]
    base_url: str | None = None
    skip: bool = False
    description_row: int = 0

    @property
    def last_title_row(self) -> int:
        """Return the number of the last row above the products."""
        return max(self.header_row, self.description_row)

    def passes_over(self, record: BrokenRecord) -> bool:
        """Return whether the rows after a broken one go on."""
        return self.skip and self.chosen is not None and not record.final

    def rows(self, stream: BinaryIO) -> Iterator[Run]:
        """Yield runs of the records below the header, or from it on if it is broken."""
        skipped = self.last_title_row - (not self.header)
        for first, run in self.format.records(stream).runs(self.plain_width):
            if first > skipped:
                yield first, run
            elif not isinstance(run, BrokenRecord) and len(run) > skipped + 1 - first:
                yield skipped + 1, run[skipped + 1 - first :]

    @property
    def url_places(self) -> tuple[int, ...]:
        """Return where the columns of image URLs are."""
        return self.chosen.urls if self.chosen else ()

    @cached_property
    def url_cells(self) -> UrlCells:
        """Return how the cells of these columns are read."""
        return UrlCells(self.base_url)

    def urls(self, row: Sequence[str]) -> tuple[str, ...]:
        """Return the image URLs of an aligned row, in the order of the columns."""
        places = self.url_places
        if len(places) == 1:
            return self.url_cells.split(row[places[0]])
        return tuple(url for place in places for url in self.url_cells.split(row[place]))

    def replaced(self, cells: list[str], urls: Mapping[int, str]) -> dict[int, str]:
        """Return which cells of a row change, by their places, when its URLs are replaced.

        `urls` are the new ones by the positions of the old ones in the row.
        """
        row = self.lined_up(cells)
        changed = {}
        position = 0
        for place in self.url_places:
            found = len(self.url_cells.split(row[place]))
            new = [urls.get(number) for number in range(position, position + found)]
            position += found
            if not any(new):
                continue
            if place < len(cells) and row[place] == cells[place]:
                changed[place] = self.url_cells.replaced(row[place], new)
            else:
                changed |= self._replaced_spill(row[place], cells, new)
        return changed

    def _replaced_spill(
        self, joined: str, cells: Sequence[str], urls: Sequence[str | None]
    ) -> dict[int, str]:
        """Return the cells over which the URLs of one cell have spilled, with new ones."""
        (urls_at,) = self.url_places
        end = self._named_width + len(_without_blank_end(list(cells[self._named_width :])))
        changed = {}
        first = 0
        for place in (urls_at, *range(self._named_width, end)):
            last = first + len(self.url_cells.split(cells[place]))
            changed[place] = self.url_cells.replaced(cells[place], urls[first:last])
            first = last
        if first != len(urls):
            # A URL with a separator in it has come apart: it goes into one cell again.
            changed = dict.fromkeys(changed, "") | {urls_at: self.url_cells.replaced(joined, urls)}
        return changed

    def titles(self) -> dict[str, Any]:
        """Return the names of the columns that are read, as the caller wrote them."""

        def name(place: int | None) -> str | None:
            return None if place is None else shortened(self.title(place) or "")

        chosen = self.chosen
        return {
            "urls": [name(place) for place in self.url_places],
            "name": name(chosen.name) if chosen else None,
            "id": name(chosen.id) if chosen else None,
        }

    def title(self, index: int) -> str | None:
        """Return the name of a column as the caller wrote it, or None where it has none."""
        return self.header[index].strip() or None if index < len(self.header) else None

    def grid(self, rows: Rows) -> ColumnBatch | None:
        """Return rows of which each has each cell in its column by columns; else None."""
        if isinstance(rows, ColumnBatch):
            return rows
        if rows and all(len(row) == self.plain_width for row in rows):
            return ColumnBatch(list(zip(*rows, strict=True)))
        return None

    @cached_property
    def plain_width(self) -> int:
        """Return how many cells a row has whose cells are sure to stand in their columns, or -1."""
        sure = self._named_width == len(self.header) and self.chosen is not None
        return self._named_width if sure else -1

    def lined_up(self, cells: list[str]) -> list[str]:
        """Return a row's cells, as many as the header's, with spilled URLs in the URL cell."""
        return self.sorted_out(cells)[0]

    def sorted_out(self, cells: list[str]) -> tuple[list[str], str]:
        """Return a row's aligned cells, and the text of those that belong to no column."""
        if len(cells) == self.plain_width:
            return cells, ""
        if len(cells) <= self._named_width:
            return self._filled(cells), ""
        spill = self._spill(cells)
        if not spill:
            surplus = self._joint.join(filter(str.strip, cells[len(self.header) :]))
            return self._filled(cells[: len(self.header)]), surplus
        row = self._filled(cells[: self._named_width])
        (urls_at,) = self.url_places
        row[urls_at] = self._joint.join([row[urls_at], *spill])
        return row, ""

    def _filled(self, cells: list[str]) -> list[str]:
        return cells + [""] * (len(self.header) - len(cells))

    def _spill(self, cells: list[str]) -> list[str]:
        """Return the text that spilled from the URL cell into the cells after the last named column.

        URLs always did. Other text did too if it is beyond a header whose last column is the
        URLs: a URL with a comma in it comes apart in the same way. Of several columns with URLs,
        none is the one that they spilled from.
        """
        if len(self.url_places) != 1:
            return []
        after = _without_blank_end(cells[self._named_width :])
        beyond_header = len(after) > len(self.header) - self._named_width
        urls_are_last = self.url_places[0] == self._named_width - 1
        if all(map(is_url_or_blank, after)) or (beyond_header and urls_are_last):
            return after
        return []

    @cached_property
    def _named_width(self) -> int:
        return max((i for i, name in enumerate(self.header, 1) if name.strip()), default=0)

    @property
    def _joint(self) -> str:
        # Separators of URLs in a cell; others would become part of the first URL.
        return self.format.delimiter if self.format.delimiter in ",;" else " "


# A layout as JSON, for later reads of the file.
KeptLayout = dict[str, Any]


def kept_layout(layout: Layout) -> KeptLayout:
    """Return the data that `reopened` needs to read the file in the same way later."""
    chosen = layout.chosen
    assert chosen is not None
    return {
        "layout": chosen.layout,
        "columns": layout.titles(),
        "urls": list(chosen.urls),
        "name": chosen.name,
        "id": chosen.id,
        "header_row": layout.header_row,
        "line_ending": layout.line_ending,
        "base_url": layout.base_url,
        "options": {column.name: place for column, place in layout.indices.items()},
        "skip": layout.skip,
        "description_row": layout.description_row,
        "delimiter": layout.format.delimiter,
        "sep_line": layout.format.sep_line,
        "blanks_before_quotes": layout.format.blanks_before_quotes,
        "encoding": layout.format.encoding.name,
        "errors": layout.format.encoding.errors,
    }


def reopened(stream: BinaryIO, kept: KeptLayout) -> Layout:
    """Return the kept layout of a file; raise BadCatalogue if it is a different file."""
    encoding = Encoding(kept["encoding"], errors=kept["errors"])
    format_ = Format(encoding, kept["delimiter"], kept["sep_line"], kept["blanks_before_quotes"])
    chosen = ChosenColumns(kept["layout"], tuple(kept["urls"]), kept["name"], kept["id"])
    for number, cells in format_.records(stream):
        if number == kept["header_row"] and not isinstance(cells, BrokenRecord):
            return Layout(
                format_,
                kept["line_ending"],
                number,
                tuple(cells),
                chosen,
                # Jobs of earlier versions have none of these.
                options_of(kept.get("options", {})),
                kept["base_url"],
                kept.get("skip", False),
                kept.get("description_row", 0),
            )
    raise BadCatalogue(issue("empty_file", limit=HEADER_SEARCHED_ROWS))


# Columns that an upload may ask for, beside those of every output.
OUTPUT_COLUMNS = ("score", "advice")
APPEND, REPLACE = OUTPUTS = ("append", "replace")
CSV_TYPE = "text/csv; charset=utf-8"
# By the ending of the file name.
MEDIA_TYPES = {
    ".csv": CSV_TYPE,
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
}
FILE_FORMATS = tuple(ending.removeprefix(".") for ending in MEDIA_TYPES)


class OutputForm(NamedTuple):
    """Whether new URLs replace the old ones, and the sheet of a workbook that is written back.

    Without a `part`, the output is a CSV.
    """

    replace: bool = False
    part: str = ""
    ending: str = ".csv"
    # Further appended columns: change, score, advice.
    columns: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """Return the media type of the output."""
        return MEDIA_TYPES[self.ending]

    @property
    def file_format(self) -> str:
        """Return the file format of the output, one of FILE_FORMATS."""
        return self.ending.removeprefix(".")

    def as_csv(self) -> OutputForm:
        """Return the form for a job whose workbook is unavailable or not wanted."""
        return OutputForm(self.replace, columns=self.columns)


def parse_output_columns(text: str) -> str | None:
    """Return the names in a text, separated by commas, each once and in their order, or None."""
    names = {name.strip().casefold() for name in text.split(",")}
    if not names <= set(OUTPUT_COLUMNS):
        return None
    return ",".join(name for name in OUTPUT_COLUMNS if name in names)


def kept_output(output: str, table: Table, columns: str | None = None) -> KeptLayout:
    """Return the data that `output_form` needs, to be kept with the layout of an upload.

    `columns` are names in OUTPUT_COLUMNS, separated by commas.
    """
    book = {"part": table.part, "ending": table.ending} if table.workbook else None
    kept = {"output": output, "workbook": book}
    return kept | {"output_columns": columns} if columns else kept


def output_form(
    kept: KeptLayout | None, output: str | None = None, *, changes: bool = False
) -> OutputForm:
    """Return the form that the upload asked for, or `output` if that is set."""
    kept = kept or {}
    replace = (output or kept.get("output")) == REPLACE
    book = kept.get("workbook")
    asked = kept.get("output_columns")
    columns = (*(("change",) if changes else ()), *(asked.split(",") if asked else ()))
    form = OutputForm(replace, columns=columns)
    return form._replace(part=book["part"], ending=book["ending"]) if book else form


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
