"""The cells of a workbook as the texts of a CSV, row by row."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, datetime, time, timedelta
from typing import Any

from .model import CatalogueLimits
from .unpacking import BoundedFile

# No spreadsheet program has more.
MAX_COLUMNS = 16_384
_WRITTEN_CHARS = 256 * 1024
# A formula that names an image; its cached value is a picture or another text.
IMAGE_FORMULA = re.compile(r"=?\s*(?:of:=)?(?:_xlfn\.)?(IMAGE|HYPERLINK)\s*\(\s*\"([^\"]*)\"", re.I)


class TooManyRows(Exception):
    """More rows than are looked at were written."""


class CsvOfSheet:
    """The CSV that a sheet becomes: UTF-8 with a mark, as spreadsheet programs like it."""

    def __init__(self, target: BoundedFile, limits: CatalogueLimits) -> None:
        self._target = target
        self._text = io.StringIO("\ufeff", newline="")
        self._text.seek(0, io.SEEK_END)
        self._writer = csv.writer(self._text, lineterminator="\r\n")
        self._most = limits.max_rows + 1
        self._number = 0

    def write(self, number: int, cells: list[str]) -> None:
        """Write the row with a number, and the empty rows before it; raise TooManyRows."""
        while self._number < number - 1:
            self._row([])
        self._row(cells)

    def end(self) -> None:
        """Write what is left."""
        self._target.write(self._text.getvalue().encode("utf-8", "replace"))
        self._text.seek(0)
        self._text.truncate()

    def _row(self, cells: list[str]) -> None:
        self._number += 1
        if self._number > self._most:
            raise TooManyRows
        self._writer.writerow(cells)
        if self._text.tell() > _WRITTEN_CHARS:
            self.end()


def text_of(value: Any) -> str:
    """Return a value as people write it: no `.0`, long numbers in full, dates as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, datetime):
        whole_day = value.time() == time()
        return value.date().isoformat() if whole_day else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)


def image_formula(formula: str | None) -> str | None:
    """Return a formula that names an image or a link, in short; None for any other."""
    found = IMAGE_FORMULA.match(formula) if formula else None
    return f'={found[1].upper()}("{found[2]}")' if found else None
