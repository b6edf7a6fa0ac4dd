"""Read a sheet of an Excel or OpenDocument workbook as the rows of a CSV.

openpyxl knows the format. Three of its ways are replaced, because they grow with the file: all
texts of the workbook in a list, all rows that were read under their parent, and a part at once.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from array import array
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast
from warnings import catch_warnings, simplefilter
from xml.etree.ElementTree import Element, iterparse

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import builtin_format_code, is_date_format, is_timedelta_format
from openpyxl.worksheet._reader import DATA_TAG, FORMULA_TAG, ROW_TAG, WorkSheetParser
from openpyxl.xml.constants import ARC_STYLE, SHARED_STRINGS, SHEET_MAIN_NS

from .hyperlinks import Links, read_links, web_link, with_link
from .model import BadCatalogue, CatalogueLimits, enumerated, issue
from .unpacking import BoundedFile, BoundedPart

# No spreadsheet program has more.
MAX_COLUMNS = 16_384
_WRITTEN_CHARS = 256 * 1024
# A formula that names an image; its cached value is a picture or another text.
IMAGE_FORMULA = re.compile(r"=?\s*(?:of:=)?(?:_xlfn\.)?(IMAGE|HYPERLINK)\s*\(\s*\"([^\"]*)\"", re.I)


class TooManyRows(Exception):
    """More rows were written than are read."""


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
        """Write the remaining rows."""
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


_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_MANIFEST = "META-INF/manifest.xml"
_MANIFEST_BYTES = 1_048_576


def write_ods(
    archive: zipfile.ZipFile,
    target: BoundedFile,
    limits: CatalogueLimits,
    max_xml_bytes: int,
    sheet: str | None,
) -> None:
    """Write a sheet, the first unless one is named, as CSV; raise BadCatalogue if there is none."""
    if _MANIFEST in archive.namelist():
        with archive.open(_MANIFEST) as manifest:
            if b"encryption-data" in manifest.read(_MANIFEST_BYTES):
                raise BadCatalogue(issue("encrypted_file"))
    out = CsvOfSheet(target, limits)
    with archive.open("content.xml") as part:
        try:
            for number, cells in _rows(BoundedPart(cast(BinaryIO, part), max_xml_bytes), sheet):
                out.write(number, cells)
        except TooManyRows:
            pass  # The validator reports it.
    out.end()


def _rows(part: BoundedPart, sheet: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that are not empty, with their numbers."""
    tables: list[str] = []
    parents: list[Element] = []
    wanted = False
    number = 0
    for event, element in iterparse(cast(Any, part), events=("start", "end")):
        if event == "start":
            part.begun()
            parents.append(element)
            # A table may stand within a cell of another.
            if element.tag == f"{_TABLE}table" and not wanted:
                tables.append(element.get(f"{_TABLE}name", ""))
                wanted = sheet is None or tables[-1] == sheet
                number = 0
            continue
        parents.pop()
        if element.tag == f"{_TABLE}table-row":
            if wanted:
                cells = _cells(element)
                for _ in range(_repeated(element, "rows") if cells else 0):
                    number += 1
                    yield number, cells
                number += 0 if cells else _repeated(element, "rows")
            parents[-1].clear()
            part.passed()
        elif element.tag == f"{_TABLE}table" and wanted:
            return
    raise BadCatalogue(issue("unknown_sheet", value=sheet, names=enumerated(tables)))


def _cells(row: Element) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if cell.tag in _CELLS:
            text = _text_of_cell(cell)
            repeated = _repeated(cell, "columns")
            if text and len(cells) + repeated > MAX_COLUMNS:
                raise ValueError(repeated)
            cells.extend([text] * min(repeated, MAX_COLUMNS - len(cells)))
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _repeated(element: Element, what: str) -> int:
    return max(1, int(element.get(f"{_TABLE}number-{what}-repeated", "1")))


def _text_of_cell(cell: Element) -> str:
    formula = image_formula(cell.get(f"{_TABLE}formula"))
    if formula:
        return formula
    kind = cell.get(f"{_OFFICE}value-type")
    if kind in ("float", "currency", "percentage"):
        value = cell.get(f"{_OFFICE}value", "")
        return value if value.lstrip("-").isdigit() else text_of(float(value))
    if kind == "date":
        return cell.get(f"{_OFFICE}date-value", "").removesuffix("T00:00:00").replace("T", " ")
    if kind == "boolean":
        return cell.get(f"{_OFFICE}boolean-value", "").upper()
    text = cell.get(f"{_OFFICE}string-value")
    return (
        text
        if text is not None
        else "\n".join(_text_of_paragraph(child) for child in cell if child.tag == f"{_TEXT}p")
    )


def _text_of_paragraph(paragraph: Element) -> str:
    parts = [paragraph.text or ""]
    for child in paragraph:
        if child.tag == f"{_TEXT}s":
            # Several blanks are written as their number.
            parts.append(" " * min(int(child.get(f"{_TEXT}c", "1")), 1_000))
        elif child.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif child.tag == f"{_TEXT}a":
            target = child.get(f"{_XLINK}href", "")
            parts.append(with_link(_text_of_paragraph(child), web_link(target)))
        else:
            parts.append(_text_of_paragraph(child))
        parts.append(child.tail or "")
    return "".join(parts)


_TEXT_TAG = f"{{{SHEET_MAIN_NS}}}si"
_NUMBER_FORMAT_TAG = f"{{{SHEET_MAIN_NS}}}numFmt"
_STYLE_TAG = f"{{{SHEET_MAIN_NS}}}xf"
_STYLES_TAG = f"{{{SHEET_MAIN_NS}}}cellXfs"
# Excel has no more.
_MAX_STYLES = 65_490
# A place in the file takes eight bytes.
_MAX_TEXTS = 8_000_000


def write_xlsx(
    archive: zipfile.ZipFile,
    target: BoundedFile,
    limits: CatalogueLimits,
    max_xml_bytes: int,
    sheet: str | None,
) -> str:
    """Write a sheet, the first unless one is named, as CSV, and return the name of its part.

    Raise BadCatalogue if there is none.
    """
    with catch_warnings():
        # It warns about content that it leaves out, such as conditional formatting.
        simplefilter("ignore")
        book = _Workbook(archive, max_xml_bytes)
        part = book.part(sheet)
        out = CsvOfSheet(target, limits)
        try:
            for number, cells in book.rows(part):
                out.write(number, cells)
        except TooManyRows:
            pass  # The validator reports it.
        out.end()
    return part


class _Workbook(ExcelReader):
    """A workbook of which only the parts that its cells need are read."""

    def __init__(self, archive: zipfile.ZipFile, max_xml_bytes: int) -> None:
        # Its own way to begin takes names and files, and no archive that is open.
        self.archive = archive
        self.valid_files = archive.namelist()
        self.read_only = self.data_only = True
        self.keep_vba = self.keep_links = self.rich_text = False
        self.shared_strings = []
        self._max_xml_bytes = max_xml_bytes
        self.read_manifest()
        self.read_workbook()
        self._dates, self._durations = _styles_of_times(archive, max_xml_bytes)

    def part(self, sheet: str | None) -> str:
        """Return the name of the part that a sheet is in; raise BadCatalogue if there is none."""
        sheets = {
            found.name: relation.target
            for found, relation in self.parser.find_sheets()
            if "chartsheet" not in relation.Type and relation.target in self.valid_files
        }
        path = sheets.get(sheet) if sheet else next(iter(sheets.values()), None)
        if path is None:
            raise BadCatalogue(issue("unknown_sheet", value=sheet, names=enumerated([*sheets])))
        return str(path)

    def rows(self, part: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows of a sheet that are not empty, with their numbers."""
        links = read_links(self.archive, part, self._max_xml_bytes)
        with self._texts() as texts, self.archive.open(part) as file:
            parser = _Sheet(
                BoundedPart(cast(BinaryIO, file), self._max_xml_bytes),
                texts,
                data_only=True,
                epoch=self.wb.epoch,
                date_formats=self._dates,
                timedelta_formats=self._durations,
            )
            for number, cells in parser.rows():
                yield number, _lined_up(number, cells, links)

    def _texts(self) -> _SharedTexts:
        part = cast(Any, self.package).find(SHARED_STRINGS)
        texts = _SharedTexts()
        if part is not None and part.PartName[1:] in self.valid_files:
            with self.archive.open(part.PartName[1:]) as file:
                texts.read(BoundedPart(cast(BinaryIO, file), self._max_xml_bytes))
        return texts


def _styles_of_times(archive: zipfile.ZipFile, max_xml_bytes: int) -> tuple[set[int], set[int]]:
    """Return the numbers of the cell styles that show dates, and of those that show durations.

    Of the styles no more is needed, and all of them would be read at once by openpyxl: workbooks
    that were copied together for years have tens of thousands.
    """
    dates, durations, codes = set[int](), set[int](), dict[str | None, str | None]()
    if ARC_STYLE not in archive.namelist():
        return dates, durations
    parents: list[Element] = []
    number = 0
    with archive.open(ARC_STYLE) as file:
        part = BoundedPart(cast(BinaryIO, file), max_xml_bytes)
        for event, element in iterparse(cast(Any, part), events=("start", "end")):
            if event == "start":
                part.begun()
                parents.append(element)
                continue
            parents.pop()
            id_ = element.get("numFmtId")
            if element.tag == _NUMBER_FORMAT_TAG and len(codes) < _MAX_STYLES:
                codes[id_] = element.get("formatCode")
            elif element.tag == _STYLE_TAG and parents and parents[-1].tag == _STYLES_TAG:
                code = codes[id_] if id_ in codes else builtin_format_code(int(id_ or 0))
                if is_date_format(code):
                    dates.add(number)
                if is_timedelta_format(code):
                    durations.add(number)
                number += 1
                if number == _MAX_STYLES:
                    break
            if parents:
                parents[-1].remove(element)
                part.passed()
    return dates, durations


class _SharedTexts:
    """The texts that cells refer to by number, in a temporary file: there may be millions."""

    def __init__(self) -> None:
        self._file = TemporaryFile()
        self._ends = TemporaryFile()
        self._count = 0
        self._look_up = lru_cache(maxsize=4_096)(self._read)

    def __enter__(self) -> _SharedTexts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._ends.close()

    def read(self, part: BoundedPart) -> None:
        """Take the texts out of their part."""
        root = None
        end = 0
        self._ends.write(_place(end))
        for event, element in iterparse(cast(Any, part), events=("start", "end")):
            if root is None:
                root = element
            if event == "start":
                part.begun()
            if event == "end" and element.tag == _TEXT_TAG:
                text = str(cast(Any, Text.from_tree(element)).content).encode("utf-8", "replace")
                self._file.write(text)
                end += len(text)
                self._ends.write(_place(end))
                self._count += 1
                if self._count > _MAX_TEXTS:
                    raise BadCatalogue(issue("unpacked_too_large", limit=_MAX_TEXTS))
                root.clear()
                part.passed()

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._look_up(number)

    def _read(self, number: int) -> str:
        self._ends.seek(8 * number)
        start, end = array("Q", self._ends.read(16))
        self._file.seek(start)
        return self._file.read(end - start).decode()


def _place(number: int) -> bytes:
    return array("Q", [number]).tobytes()


class _Sheet(WorkSheetParser):
    """The rows of one sheet."""

    def rows(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield the number and the cells of each row."""
        rows = None
        source = cast(BoundedPart, self.source)
        for event, element in iterparse(cast(Any, source), events=("start", "end")):
            if event == "start":
                source.begun()
                rows = element if element.tag == DATA_TAG else rows
            elif element.tag == ROW_TAG and rows is not None:
                number, cells = self.parse_row(element)
                yield number, cells
                rows.clear()
                source.passed()
            elif element.tag == DATA_TAG:
                return

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Return a cell; of formulas that name an image themselves, else their last values."""
        cell: dict[str, Any] = super().parse_cell(element)
        formula = image_formula(element.findtext(FORMULA_TAG))
        return cell | {"value": formula} if formula else cell


def _lined_up(number: int, cells: list[dict[str, Any]], links: Links) -> list[str]:
    texts: list[str] = []
    for cell in cells:
        column = cell["column"]
        if column > MAX_COLUMNS:
            raise ValueError(column)
        text = text_of(cell["value"])
        if links:
            text = with_link(text, links.get((number, column - 1)))
        if text:
            texts.extend([""] * (column - len(texts)))
            texts[column - 1] = text
    return texts
