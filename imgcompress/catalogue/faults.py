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
    "bad_encoding": "The file has characters that cannot be read as text. Save it again as CSV in"
                    " UTF-8.",
    "nul_character": "The file has a NUL character, which does not belong in text; it may be"
                     " damaged. Save it again as CSV in UTF-8.",
    "missing_column": "There is no column “{name}”. The file has columns called {names}. Add the"
                      " column, or rename the one that is meant.",
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
    "missing_url": "The row has no image URL. Add one that starts with http:// or https://, or"
                   " delete the row.",
    "invalid_url": "{reason}",
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
