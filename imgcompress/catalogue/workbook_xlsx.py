"""Read a sheet of an Excel workbook, row by row.

openpyxl knows the format. Three of its ways are replaced, because they grow with the file: all
texts of the workbook in a list, all rows that were read under their parent, and a part at once.
"""

from __future__ import annotations

import zipfile
from array import array
from collections.abc import Iterator
from functools import lru_cache
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast
from warnings import catch_warnings, simplefilter
from xml.etree.ElementTree import iterparse

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.worksheet._reader import DATA_TAG, FORMULA_TAG, ROW_TAG, WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from .cell_texts import MAX_COLUMNS, CsvOfSheet, TooManyRows, image_formula, text_of
from .faults import enumerated, fault
from .model import BadCatalogue, CatalogueLimits
from .unpacking import BoundedFile, BoundedPart

_TEXT_TAG = f"{{{SHEET_MAIN_NS}}}si"
# A place in the file takes eight bytes.
_MAX_TEXTS = 8_000_000


def write_xlsx(archive: zipfile.ZipFile, target: BoundedFile, limits: CatalogueLimits,
               max_xml_bytes: int, sheet: str | None) -> None:
    """Write a sheet, the first unless one is named, as CSV; raise BadCatalogue if there is none."""
    with catch_warnings():
        # It warns of what it leaves out, such as rules for colours.
        simplefilter("ignore")
        book = _Workbook(archive, max_xml_bytes)
        out = CsvOfSheet(target, limits)
        try:
            for number, cells in book.rows(sheet):
                out.write(number, cells)
        except TooManyRows:
            pass  # The survey tells it.
        out.end()


class _Workbook(ExcelReader):
    """A workbook of which only what its cells need is read."""

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
        apply_stylesheet(archive, self.wb)

    def rows(self, sheet: str | None) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows of a sheet that are not empty, with their numbers."""
        sheets = {found.name: relation.target for found, relation in self.parser.find_sheets()
                  if "chartsheet" not in relation.Type and relation.target in self.valid_files}
        path = sheets.get(sheet) if sheet else next(iter(sheets.values()), None)
        if path is None:
            raise BadCatalogue(fault("unknown_sheet", value=sheet, names=enumerated([*sheets])))
        with self._texts() as texts, self.archive.open(path) as part:
            parser = _Sheet(BoundedPart(cast(BinaryIO, part), self._max_xml_bytes), texts,
                            data_only=True, epoch=self.wb.epoch,
                            **{name: getattr(self.wb, f"_{name}")
                               for name in ("date_formats", "timedelta_formats")})
            yield from parser.texts()

    def _texts(self) -> _SharedTexts:
        part = cast(Any, self.package).find(SHARED_STRINGS)
        texts = _SharedTexts()
        if part is not None and part.PartName[1:] in self.valid_files:
            with self.archive.open(part.PartName[1:]) as file:
                texts.read(BoundedPart(cast(BinaryIO, file), self._max_xml_bytes))
        return texts


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
            if event == "end" and element.tag == _TEXT_TAG:
                text = str(cast(Any, Text.from_tree(element)).content).encode("utf-8", "replace")
                self._file.write(text)
                end += len(text)
                self._ends.write(_place(end))
                self._count += 1
                if self._count > _MAX_TEXTS:
                    raise BadCatalogue(fault("unpacked_too_large", limit=_MAX_TEXTS))
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

    def texts(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the cells of each row."""
        rows = None
        source = cast(BoundedPart, self.source)
        for event, element in iterparse(cast(Any, source), events=("start", "end")):
            if event == "start" and element.tag == DATA_TAG:
                rows = element
            elif event == "end" and element.tag == ROW_TAG and rows is not None:
                number, cells = self.parse_row(element)
                yield number, _lined_up(cells)
                rows.clear()
                source.passed()
            elif event == "end" and element.tag == DATA_TAG:
                return

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Return a cell; of formulas that name an image themselves, else their last values."""
        cell: dict[str, Any] = super().parse_cell(element)
        formula = image_formula(element.findtext(FORMULA_TAG))
        return cell | {"value": formula} if formula else cell


def _lined_up(cells: list[dict[str, Any]]) -> list[str]:
    texts: list[str] = []
    for cell in cells:
        column = cell["column"]
        if column > MAX_COLUMNS:
            raise ValueError(column)
        text = text_of(cell["value"])
        if text:
            texts.extend([""] * (column - len(texts)))
            texts[column - 1] = text
    return texts
