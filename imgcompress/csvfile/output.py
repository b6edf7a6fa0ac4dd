"""The form in which a job's output is written: the caller's CSV or workbook, with the new URLs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from .model import ImageOutcome
from .sniff import KeptLayout
from .unpacking import Table
from .verbatim import write_replaced
from .writer import write_catalogue

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
    if form.part and workbook and kept:
        # Loading it is slow, and few jobs need it.
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
        return write_replaced(source, outcomes, kept)
    return write_catalogue(source, outcomes, delimiter, kept, columns=form.columns)
