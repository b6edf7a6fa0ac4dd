"""Read a sheet of an OpenDocument spreadsheet, row by row."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast
from xml.etree.ElementTree import Element, iterparse

from .cell_texts import MAX_COLUMNS, CsvOfSheet, TooManyRows, image_formula, text_of
from .faults import enumerated, fault
from .model import BadCatalogue, CatalogueLimits
from .unpacking import BoundedFile, BoundedPart

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_MANIFEST = "META-INF/manifest.xml"
_MANIFEST_BYTES = 1_048_576


def write_ods(archive: zipfile.ZipFile, target: BoundedFile, limits: CatalogueLimits,
              max_xml_bytes: int, sheet: str | None) -> None:
    """Write a sheet, the first unless one is named, as CSV; raise BadCatalogue if there is none."""
    if _MANIFEST in archive.namelist():
        with archive.open(_MANIFEST) as manifest:
            if b"encryption-data" in manifest.read(_MANIFEST_BYTES):
                raise BadCatalogue(fault("encrypted_file"))
    out = CsvOfSheet(target, limits)
    with archive.open("content.xml") as part:
        try:
            for number, cells in _rows(BoundedPart(cast(BinaryIO, part), max_xml_bytes), sheet):
                out.write(number, cells)
        except TooManyRows:
            pass  # The survey tells it.
    out.end()


def _rows(part: BoundedPart, sheet: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that are not empty, with their numbers."""
    tables: list[str] = []
    parents: list[Element] = []
    wanted = False
    number = 0
    for event, element in iterparse(cast(Any, part), events=("start", "end")):
        if event == "start":
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
    raise BadCatalogue(fault("unknown_sheet", value=sheet, names=enumerated(tables)))


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
    told = cell.get(f"{_OFFICE}string-value")
    return told if told is not None else "\n".join(
        _text_of_paragraph(child) for child in cell if child.tag == f"{_TEXT}p")


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
        else:
            parts.append(_text_of_paragraph(child))
        parts.append(child.tail or "")
    return "".join(parts)
