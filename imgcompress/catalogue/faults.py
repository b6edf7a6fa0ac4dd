"""Every fault that a catalogue can have, in words for the people who keep catalogues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from .model import Fault

FAULTS_KEPT = 100
VALUE_CHARS = 200
_NAMES_SHOWN = 20

# What was found, and what to do about it. Row and column stand beside the message, not in it.
MESSAGES = {
    "empty_file": "The file is empty, or begins with more than {limit:,} blank rows. The first line"
                  " must hold the names of the columns, followed by a line for each product.",
    "not_a_csv": "This is not a CSV file: it appears to be {kind}. {advice}",
    "encrypted_file": "The file is protected by a password. Save it without one, and upload that.",
    "damaged_file": "The {kind} is damaged or in an unknown format. Open it and save it again, or"
                    " save it as CSV.",
    "unpacked_too_large": "The file has more than {limit:,} bytes or texts when unpacked, the"
                          " maximum. Delete columns and sheets that are not needed, or split the"
                          " file.",
    "several_tables": "The archive holds {kind}: {names}. Upload an archive with one table in it,"
                      " or the table itself.",
    "no_table": "The archive holds no table. Put one CSV, TSV, XLSX or ODS file into it, or upload"
                " the table itself.",
    "unknown_sheet": "The workbook has no such sheet. Its sheets are {names}. Send sheet with one"
                     " of these names, or leave it out to use the first.",
    "bad_encoding": "The file has characters that cannot be read as text. Save it again as CSV in"
                    " UTF-8.",
    "wrong_encoding": "The file is not in the encoding {encoding}. Send its actual encoding, or"
                      " leave encoding out to have it detected.",
    "stray_bytes": "The file is in UTF-8, but this cell has a character in another encoding. It was"
                   " read as Windows-1252; check that it is correct.",
    "nul_character": "The file has a NUL character, which does not belong in text; it may be"
                     " damaged. Save it again as CSV in UTF-8.",
    "missing_column": "No column of image URLs was found. The file has columns called {names}. Send"
                      " url_columns with the name of the right one, or rename it to “Input Image"
                      " Urls”.",
    "unclear_columns": "Several columns hold image URLs: {holding}. Send url_columns with the right"
                       " ones, such as url_columns={example}. The file has columns called {names}.",
    "unknown_column": "{field} names columns that do not exist: {missing}. The file has columns"
                      " called {names}. Use some of these names, exactly as written.",
    "unread_columns": "These columns hold image URLs and are not read: {holding}. To have them"
                      " compressed too, send url_columns with all columns to read.",
    "unread_options": "These columns are not read as options of their rows: {columns}. If they are"
                      " options, send row_options=true, or rename them to “imgcompress format” and"
                      " so on.",
    "duplicate_column": "There are {count} columns called “{name}”. Delete or rename all but one of"
                        " them.",
    "too_many_columns": "The row has {found:,} cells, but at most {limit:,} are accepted. Delete"
                        " the columns that are not needed.",
    "no_rows": "The file has column names but no products. Add a row for each product below row"
               " {header_row}.",
    "too_many_rows": "The file has more than {limit:,} rows, so the rest of it was not read. Delete"
                     " the blank rows, or split the file.",
    "too_many_images": "The file has more than {limit:,} images, the maximum for one upload. Split"
                       " the file.",
    "no_images": "No row has an image URL in the column {columns}. Fill it, or send url_columns"
                 " with the column that has them.",
    "invalid_url": "{reason}",
    "relative_url": "{reason}",
    "url_not_allowed": "{reason}",
    "invalid_format": "This is not an image format. Enter one of {formats}, leave the cell empty,"
                      " or rename the column if it means something else.",
    "invalid_number": "This is not a whole number from {low} to {high:,}. Enter one, leave the cell"
                      " empty, or rename the column if it means something else.",
    "conflicting_options": "The row has both a quality and a compression percentage. Leave one of"
                           " the two cells empty.",
    "invalid_output_name": "This is not a valid file name. Use at most {limit} characters without"
                           " slashes, or leave the cell empty.",
    "extra_cells": "The row has more cells than the file has columns, and the extra cells are not"
                   " image URLs. Put quotation marks around a value that contains the separator, or"
                   " add a column for the cells.",
    "unclosed_quote": "This cell begins with a quotation mark that is not closed at its end, so the"
                      " rest of the file could not be read. Close it, or double a quotation mark"
                      " that belongs to the text (\"\").",
    "stray_quote": "There is text after the closing quotation mark of this cell. Double a quotation"
                   " mark that belongs to the text (\"\").",
    "cell_too_long": "The cell has more than {limit:,} characters. Shorten it, or leave its column"
                     " out.",
    "row_too_long": "The row has more than {limit:,} characters, so the rest of the file could not"
                    " be read. Check that each product is on its own line and that every quotation"
                    " mark is closed.",
}


def fault(code: str, row: int | None = None, column: str | None = None, value: str | None = None,
          **found: object) -> Fault:
    """Return the fault `code`; `found` fills in its message, and `value` is shortened."""
    return Fault(row, column, code, MESSAGES[code].format(**found),
                 None if value is None else shortened(value))


def shortened(text: str) -> str:
    """Cut a caller's text to VALUE_CHARS characters, with an ellipsis where something is gone."""
    return text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS - 1] + "…"


def enumerated(names: Sequence[str]) -> str:
    """Return names between quotation marks, the first twenty of them and the number of the rest."""
    shown = ", ".join(f"“{shortened(name.strip())}”" for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


class FaultList:
    """The first faults and the count of all: memory stays flat however bad a file is.

    Faults of the whole file come before faults of rows, whenever they were found.
    """

    def __init__(self) -> None:
        self.count = 0
        self._of_file: list[Fault] = []
        self._of_rows: list[Fault] = []

    def add_for_rows(self, count: int, found: Iterable[Fault]) -> None:
        """Count faults of rows, and keep those that are among the first; no others are made."""
        self.count += count
        self._of_rows.extend(islice(found, FAULTS_KEPT - len(self._of_rows)))

    def add_for_file(self, found: Iterable[Fault]) -> None:
        """Keep faults that concern the whole file; there are never more than a handful."""
        before = len(self._of_file)
        self._of_file.extend(found)
        self.count += len(self._of_file) - before

    @property
    def first(self) -> tuple[Fault, ...]:
        """Return the first FAULTS_KEPT faults."""
        return tuple((self._of_file + self._of_rows)[:FAULTS_KEPT])
