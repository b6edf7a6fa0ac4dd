"""Write the output CSV: the caller's rows with the new URLs and errors, formulas escaped.

After OWASP's page on CSV injection: an apostrophe before =, +, -, @, TAB, CR and LF makes the
cell text. Programs skip blanks and invisible characters at the start and read compatible forms of
the signs, such as full-width ones, like the plain ones, so all of them count.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

from .layout import KeptLayout, Layout, OutputForm, reopened
from .model import ImageOutcome
from .options import OptionCells
from .parser import has_text
from .rows import RowChecks, intact
from .sniff import open_good_layout

# Unicode's normal form NFKC of each begins with = + - or @.
_SIGNS = "=+@⁺⁼₊₌⩵⩶﬩﹢﹦﹫＋＝＠﹣－-"
# White space, control and format characters (Cc, Cf, Zs, Zl, Zp), and all that Unicode gives the
# property Default_Ignorable_Code_Point.
_INVISIBLE = (
    "\0-\x20\x7f-\xa0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160"
    "\u1680\u17b4-\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_FORMULA = re.compile(f"[\t\r\n]|[{_INVISIBLE}]*+[{_SIGNS}]")
# A plain number, or a lone hyphen for an empty value, is not a formula.
_HARMLESS = re.compile(
    r"\s*(?:-|[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?\s?%?)\s*", re.ASCII
)
# Nearly all cells begin with one of these, and a set lookup is fastest.
_PLAIN = frozenset(["", *filter(str.isalnum, map(chr, range(128)))])


def escape_formulas(cells: Iterable[str]) -> list[str]:
    """Return the cells with an apostrophe before each that could run as a formula."""
    plain = _PLAIN
    return [f"'{cell}" if cell[:1] not in plain and _is_formula(cell) else cell for cell in cells]


def _is_formula(cell: str) -> bool:
    if _FORMULA.match(cell) is None:
        return False
    return cell[0] in "\t\r\n" or _HARMLESS.fullmatch(cell) is None


OUTPUT_COLUMNS = ("Output Image Urls", "Image Errors")
# By the attribute of an outcome that each of them shows.
FURTHER_COLUMNS = {"change": "Change", "score": "Score", "advice": "Advice"}
_CHUNK_ROWS = 500


def write_catalogue(
    source: BinaryIO,
    outcomes: Iterable[ImageOutcome],
    delimiter: str | None = None,
    kept: KeptLayout | None = None,
    *,
    columns: Sequence[str] = (),
) -> Iterator[bytes]:
    """Yield the output CSV in chunks; raise BadCatalogue if `source` is not a valid catalogue.

    `outcomes` come ordered by row and position; where some are missing, their slots stay empty.
    Output columns of an earlier run are overwritten. Columns, order and Excel's `sep=` line are the
    caller's, and so is the separator unless there is a `delimiter`. The text is UTF-8, with a byte
    order mark unless the input was UTF-8 without one; lines end with LF if the caller's did, and
    otherwise with CRLF (RFC 4180). `kept` is the validated layout as returned by `kept_layout`;
    without it, it is determined again. `columns` are names in FURTHER_COLUMNS.
    """
    layout = reopened(source, kept) if kept else open_good_layout(source)
    delimiter = delimiter or layout.format.delimiter
    if layout.format.encoding.name != "utf-8":
        yield "\ufeff".encode()
    if layout.format.sep_line:
        sep_line = layout.format.sep_line.rstrip("\r\n")
        yield (sep_line.replace(layout.format.delimiter, delimiter) + layout.line_ending).encode()
    appended = AppendedColumns(layout, OutcomesOfRows(outcomes), columns)
    records = intact(layout.format.records(source), layout)
    rows = (appended.added_to(number, cells) for number, cells in records)
    yield from encoded_rows(rows, delimiter, layout.line_ending)


def encoded_rows(rows: Iterator[list[str]], delimiter: str, line_ending: str) -> Iterator[bytes]:
    """Yield rows as CSV in UTF-8, some at a time; no cell of them runs as a formula."""
    lines = _Lines()
    # With CRLF as its line end, Python 3.11 puts cells that hold CR or LF between quotation marks;
    # with LF alone it would leave a CR bare.
    writer = csv.writer(lines, delimiter=delimiter, lineterminator="\r\n")
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        writer.writerows(map(escape_formulas, chunk))
        yield "".join(line[:-2] + line_ending for line in lines).encode()
        lines.clear()


class _Lines(list[str]):
    """A list as the file that csv.writer writes to: one write for each row."""

    def write(self, line: str) -> None:
        self.append(line)


class AppendedColumns:
    """The rows of a catalogue with the output columns, in place or else at the end."""

    def __init__(
        self, layout: Layout, of_rows: OutcomesOfRows, further: Sequence[str] = ()
    ) -> None:
        self._further = further
        self._names = (*OUTPUT_COLUMNS, *(FURTHER_COLUMNS[name] for name in further))
        self._layout = layout
        self._of_rows = of_rows
        self._checks = RowChecks(layout, OptionCells(layout)) if layout.skip else None
        chosen = layout.chosen
        # A column that is read now, as where compressed images are compressed again, is kept.
        read = {*layout.url_places, *((chosen.name, chosen.id) if chosen else ())}
        places = {name: place for place, name in enumerate(layout.header) if place not in read}
        self._places = [places.get(name) for name in self._names]

    @property
    def last_column(self) -> int:
        """Return the maximum number of columns in a row."""
        return len(self._layout.header) + len(self._names)

    def added_to(self, number: int, cells: list[str]) -> list[str]:
        """Return a row with its output; blank rows and those above the header stay as they are."""
        if number == self._layout.header_row:
            return self._with_output(cells, self._names)
        if number > self._layout.last_title_row and has_text(cells):
            errors = [*self._checks.issues(number, cells)] if self._checks else []
            if errors:
                text = " | ".join(f"{error.code}: {error.message}" for error in errors)
                output = ("", text, *("" for _ in self._further))
                return self._with_output(self._as_wide(cells), output)
            row = self._layout.lined_up(cells)
            slots = len(self._layout.urls(row))
            taken = self._of_rows.take(number)
            return self._with_output(row, _output_cells(slots, taken, self._further))
        return cells

    def _as_wide(self, cells: list[str]) -> list[str]:
        """Return the cells of a row with errors, as many as the header's; the last has the rest."""
        width = len(self._layout.header)
        rest = self._layout.format.delimiter.join(cells[width - 1 :])
        return [*cells, *[""] * (width - len(cells))][: width - 1] + [rest]

    def _with_output(self, row: Sequence[str], output: Sequence[str]) -> list[str]:
        cells = list(row)
        for place, cell in zip(self._places, output, strict=True):
            if place is None:
                cells.append(cell)
            else:
                cells[place] = cell
        return cells


def _output_cells(
    slots: int, outcomes: Sequence[ImageOutcome], further: Sequence[str]
) -> tuple[str, ...]:
    """Return the cells of the output columns, in their order."""
    # A job of an earlier version may have found more URLs in a cell.
    urls = [""] * max([slots, *(outcome.position + 1 for outcome in outcomes)])
    others = {name: urls.copy() for name in further}
    errors = []
    for outcome in outcomes:
        if outcome.output_url:
            urls[outcome.position] = outcome.output_url
            for name, texts in others.items():
                texts[outcome.position] = getattr(outcome, name) or ""
        if outcome.error:
            errors.append(f"{outcome.position + 1}: {outcome.error}")
    return ",".join(urls), " | ".join(errors), *(",".join(texts) for texts in others.values())


class OutcomesOfRows:
    """Outcomes in the order of rows, handed out row by row."""

    def __init__(self, outcomes: Iterable[ImageOutcome]) -> None:
        self._rest = iter(outcomes)
        self._next = next(self._rest, None)

    def take(self, row_number: int) -> list[ImageOutcome]:
        """Return the outcomes of a row; unused ones of earlier rows are skipped."""
        taken = []
        while self._next is not None and self._next.row_number <= row_number:
            if self._next.row_number == row_number:
                taken.append(self._next)
            self._next = next(self._rest, None)
        return taken


def new_urls(outcomes: Iterable[ImageOutcome]) -> dict[int, str]:
    """Return the URLs of compressed images by the positions of the originals in their row."""
    return {one.position: one.output_url for one in outcomes if one.output_url}


ERROR_COLUMNS = ("Row", "Column", "URL", "Code", "Message")


class ImageFailure(NamedTuple):
    """Why the image at `position` (0..) of a row has failed.

    In a report, also an image that did not fail: without a code, but with its change.
    """

    row_number: int
    position: int
    code: str
    message: str
    change: str = ""


def write_errors(
    source: BinaryIO,
    failures: Iterable[ImageFailure],
    delimiter: str | None = None,
    kept: KeptLayout | None = None,
    *,
    changes: bool = False,
) -> Iterator[bytes]:
    """Yield a CSV with a row for each failure, with `changes` in one more column.

    `failures` come ordered by row and position, and include the issues of skipped rows. Rows and
    columns are those of the caller's file; delimiter, encoding and line ends are as in
    write_catalogue(). Raise BadCatalogue if `source` is not a valid catalogue.
    """
    layout = reopened(source, kept) if kept else open_good_layout(source)
    if layout.format.encoding.name != "utf-8":
        yield "\ufeff".encode()
    rows = _rows(source, layout, failures)
    if not changes:
        rows = (row[: len(ERROR_COLUMNS)] for row in rows)
    yield from encoded_rows(rows, delimiter or layout.format.delimiter, layout.line_ending)


def _rows(
    source: BinaryIO, layout: Layout, failures: Iterable[ImageFailure]
) -> Iterator[list[str]]:
    yield [*ERROR_COLUMNS, FURTHER_COLUMNS["change"]]
    rest = iter(failures)
    failure = next(rest, None)
    checks = RowChecks(layout, OptionCells(layout)) if layout.skip else None
    for number, cells in intact(layout.format.records(source), layout):
        if failure is None and checks is None:
            return
        if checks and number > layout.last_title_row:
            for error in checks.issues(number, cells):
                yield [
                    str(number),
                    error.column or "",
                    error.value or "",
                    error.code,
                    error.message,
                    "",
                ]
        if failure is None or number != failure.row_number:
            continue
        places = _places(layout, layout.lined_up(cells))
        while failure is not None and failure.row_number == number:
            # A job of an earlier version may have found more URLs in a cell.
            column, url = places[failure.position] if failure.position < len(places) else ("", "")
            yield [str(number), column, url, failure.code, failure.message, failure.change]
            failure = next(rest, None)


def _places(layout: Layout, row: Sequence[str]) -> list[tuple[str, str]]:
    """Return the column and the URL of each image of a row."""
    return [
        (layout.title(place) or "", url)
        for place in layout.url_places
        for url in layout.url_cells.split(row[place])
    ]


def write_output(
    form: OutputForm,
    source: BinaryIO,
    workbook: BinaryIO | None,
    outcomes: Iterable[ImageOutcome],
    kept: KeptLayout | None,
    delimiter: str | None = None,
) -> Iterator[bytes]:
    """Yield the output in chunks; `workbook` is needed where the form has a `part`.

    `outcomes` come ordered by row and position. A `delimiter` is for a CSV with columns appended.
    Raise BadCatalogue if `source`, which is the CSV of a workbook too, is not a valid catalogue.
    """
    # Loading either takes time, and few jobs need it.
    if form.part and workbook and kept:
        from .workbook_output import write_workbook

        return write_workbook(
            workbook,
            form.part,
            source,
            outcomes,
            kept,
            replace=form.replace,
            columns=form.columns,
        )
    if form.replace:
        from .verbatim import write_replaced

        return write_replaced(source, outcomes, kept)
    return write_catalogue(source, outcomes, delimiter, kept, columns=form.columns)
