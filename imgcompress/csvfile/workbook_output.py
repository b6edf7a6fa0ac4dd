"""Write an Excel workbook back with new texts in some cells of its sheet.

Everything else is copied as it is: formats, formulas, pictures, macros, other sheets. A cell
that changes keeps its format, but not the formats of single letters in its text.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, BinaryIO, NamedTuple, cast
from urllib.parse import unquote
from xml.sax.saxutils import escape, quoteattr

from openpyxl.utils.cell import column_index_from_string, get_column_letter

from .hyperlinks import Links, read_links, relations_of, target_in_text
from .layout import KeptLayout, Layout, reopened
from .model import ImageOutcome
from .rows import intact
from .workbooks import IMAGE_FORMULA
from .writer import AppendedColumns, OutcomesOfRows, new_urls
from .xml_edits import Attributes, XmlEdits

_BLOCK_BYTES = 64 * 1024
# The most characters that Excel accepts in a cell, and those that XML forbids.
_MAX_TEXT = 32_767
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"([A-Z]+)(\d+)")
_SPANS = re.compile(rb"\sspans\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_LAST_COLUMN = re.compile(rb"(?<=:)[A-Z]+(?=\d+[\"'])")
# It lists the cells with formulas, and Excel creates it again.
_CALCULATION = "calcChain"


class RowEdit(NamedTuple):
    """A row as the CSV of its sheet has it, and the new texts of some cells by their places."""

    number: int
    cells: list[str]
    new: dict[int, str]


def write_workbook(
    workbook: BinaryIO,
    part: str,
    source: BinaryIO,
    outcomes: Iterable[ImageOutcome],
    kept: KeptLayout,
    *,
    replace: bool,
    columns: Sequence[str] = (),
) -> Iterator[bytes]:
    """Yield a workbook, in chunks, with the new URLs in the sheet that its `part` names.

    `source` is the CSV that was made of the sheet; `outcomes` come ordered by row and position.
    The new URLs `replace` the old ones, or stand in columns at the end, with further `columns`.
    """
    layout = reopened(source, kept)
    of_rows = OutcomesOfRows(outcomes)
    appended = AppendedColumns(layout, of_rows, columns)
    edits = (
        _replacements(source, layout, of_rows) if replace else _additions(source, layout, appended)
    )
    outlet = _Outlet()
    with zipfile.ZipFile(workbook) as archive:
        links = read_links(archive, part, sys.maxsize) if replace else {}
        sheet = _SheetEditor(edits, 0 if replace else appended.last_column, links)
        edited: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {part: sheet.edited}
        if replace:
            edited[relations_of(part)] = sheet.relinked
            edited["[Content_Types].xml"] = edited["xl/_rels/workbook.xml.rels"] = _uncalculated
        with zipfile.ZipFile(cast("BinaryIO", outlet), "w") as target:
            # The new targets of the links are known once the sheet has been read.
            for entry in sorted(
                archive.infolist(), key=lambda one: one.filename == relations_of(part)
            ):
                if replace and _CALCULATION in entry.filename:
                    continue
                copy = zipfile.ZipInfo(entry.filename, entry.date_time)
                copy.compress_type = zipfile.ZIP_DEFLATED
                copy.external_attr = entry.external_attr
                copy.file_size = entry.file_size
                with archive.open(entry) as file, target.open(copy, "w") as member:
                    for block in edited.get(entry.filename, _blocks)(cast("BinaryIO", file)):
                        member.write(block)
                        yield outlet.drained()
        yield outlet.drained()


def _replacements(source: BinaryIO, layout: Layout, of_rows: OutcomesOfRows) -> Iterator[RowEdit]:
    for number, cells in intact(layout.format.records(source), layout):
        if number > layout.last_title_row and (urls := new_urls(of_rows.take(number))):
            yield RowEdit(number, cells, layout.replaced(cells, urls))


def _additions(source: BinaryIO, layout: Layout, columns: AppendedColumns) -> Iterator[RowEdit]:
    for number, cells in intact(layout.format.records(source), layout):
        new = columns.added_to(number, cells)
        before = [*cells, *[""] * (len(new) - len(cells))]
        changed = {place: cell for place, cell in enumerate(new) if cell != before[place]}
        if changed:
            yield RowEdit(number, cells, changed)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


class _Outlet:
    """A file that cannot seek, for zipfile to write to."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: `drained` returns the data that was written."""

    def drained(self) -> bytes:
        """Return the data written since the last call."""
        data = bytes(self._written)
        self._written.clear()
        return data


class _Cell(NamedTuple):
    """A cell whose start tag was read: its place in the XML, its column, its attributes."""

    place: int
    column: int
    attributes: Attributes


class _SheetEditor:
    """The XML of a sheet with new texts in its cells, and its links with new targets.

    `width` is the minimum number of columns of the sheet when it is written.
    """

    def __init__(self, edits: Iterator[RowEdit], width: int, links: Links) -> None:
        self._edits = edits
        self._next = next(edits, None)
        self._width = width
        self._links = links
        self._targets: dict[str, str] = {}
        self._in_data = False
        # The row's number in the sheet and in its CSV, and the texts still to be written in it.
        self._row = self._csv_row = self._column = 0
        self._cells: list[str] = []
        self._new: dict[int, str] = {}
        self._cell: _Cell | None = None
        # The formula of the cell, and those that were shared by cells and are gone.
        self._formula: tuple[int, Attributes] | None = None
        self._formula_end = 0
        self._gone: set[str] = set()
        self._prefix = ""

    def edited(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the XML of the sheet with its new texts."""
        self._xml = XmlEdits(self._start, self._end)
        return self._xml.passed_on(file)

    def relinked(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the relationships of the sheet with the new targets of its links."""

        def change(name: str, attributes: Attributes) -> Attributes:
            target = self._targets.get(attributes.get("Id", ""))
            return attributes | {"Target": target} if target else attributes

        return _with_changed(file, change)

    def _start(self, name: str, attributes: Attributes, place: int) -> None:
        prefix, _, local = name.rpartition(":")
        if local == "sheetData":
            self._in_data = True
            self._prefix = f"{prefix}:" if prefix else ""
        elif local == "dimension" and self._width:
            self._widen(place)
        elif self._in_data and local == "row":
            self._begin_row(attributes, place)
        elif self._in_data and local == "c":
            found = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._column = column_index_from_string(found[1]) - 1 if found else self._column + 1
            self._cell = _Cell(place, self._column, attributes)
            self._insert(place, self._column)
            self._xml.hold = place
            self._formula = None
        elif self._cell and local == "f":
            self._formula = place, attributes

    def _end(self, name: str, place: int, end: int) -> None:
        local = name.rpartition(":")[2]
        if local == "sheetData":
            self._in_data = False
        elif self._in_data and local == "row":
            self._insert(place, None)
        elif self._cell and local == "f":
            self._formula_end = end
        elif self._cell and local == "c":
            self._end_cell(self._cell, end)
            self._cell = self._xml.hold = None

    def _begin_row(self, attributes: Attributes, place: int) -> None:
        self._row = int(attributes["r"]) if "r" in attributes else self._row + 1
        # As the CSV was written: a row below one with a higher number is the next one.
        self._csv_row = max(self._csv_row + 1, self._row)
        self._column = -1
        while self._next and self._next.number < self._csv_row:
            self._next = next(self._edits, None)
        self._cells, self._new = [], {}
        if self._next and self._next.number == self._csv_row:
            self._cells, self._new = self._next.cells, dict(self._next.new)
            if "spans" in attributes and self._width:
                end = self._xml.tag_end(place)
                self._xml.replace(place, end, _SPANS.sub(b"", self._xml.raw(place, end), 1))

    def _widen(self, place: int) -> None:
        """Set the number of columns that the sheet declares: some readers read no further."""
        end = self._xml.tag_end(place)
        letters = get_column_letter(self._width).encode()
        tag = self._xml.raw(place, end)
        found = _LAST_COLUMN.search(tag)
        if found and column_index_from_string(found[0].decode()) < self._width:
            self._xml.replace(place, end, tag[: found.start()] + letters + tag[found.end() :])

    def _insert(self, place: int, before: int | None) -> None:
        """Write the cells that the row does not have yet: all, or those before a column."""
        for column in sorted(self._new):
            if before is None or column < before:
                if text := self._new.pop(column):
                    self._xml.replace(place, place, self._written(column, text, {}))

    def _end_cell(self, cell: _Cell, end: int) -> None:
        new = self._new.pop(cell.column, None)
        old = self._cells[cell.column] if cell.column < len(self._cells) else ""
        if new is not None and self._changes_text(cell.column, old, new):
            raw = self._with_new_formula(self._xml.raw(cell.place, end), old, new)
            if raw is None:
                raw = self._written(cell.column, new, cell.attributes)
                if self._formula and "ref" in self._formula[1]:
                    self._gone.add(self._formula[1].get("si", ""))
            self._xml.replace(cell.place, end, raw)
        elif self._formula and self._formula[1].get("si", "") in self._gone - {""}:
            # The cell that shared its formula with this one no longer has one.
            start = self._formula[0]
            self._xml.replace(start, self._formula_end, b"")

    def _changes_text(self, column: int, old: str, new: str) -> bool:
        """Change the target of the cell's link, and return whether its text changes too."""
        link = self._links.get((self._row, column))
        if link is None:
            return True
        behind = f"({target_in_text(link)})"
        if old.endswith(behind):
            # Only the CSV contains the URL.
            self._targets[link.id] = new.removeprefix(old.removesuffix(behind))[1:-1]
            return False
        if unquote(old.strip()) == unquote(link.target):
            self._targets[link.id] = new.strip()
        return True

    def _with_new_formula(self, raw: bytes, old: str, new: str) -> bytes | None:
        """Return a cell whose formula has a new URL, or None if it is not such a formula."""
        before, after = IMAGE_FORMULA.fullmatch(old[:-1]), IMAGE_FORMULA.fullmatch(new[:-1])
        if self._formula is None or before is None or after is None:
            return None
        old_url, new_url = (escape(found[2]).encode() for found in (before, after))
        return raw.replace(old_url, new_url) if old_url in raw else None

    def _written(self, column: int, text: str, attributes: Attributes) -> bytes:
        p = self._prefix
        style = f" s={quoteattr(attributes['s'])}" if "s" in attributes else ""
        start = f'<{p}c r="{get_column_letter(column + 1)}{self._row}"{style}'
        if not text:
            return f"{start}/>".encode()
        plain = escape(_NO_XML.sub("", text)[:_MAX_TEXT], {"\r": "&#13;"})
        return (
            f'{start} t="inlineStr"><{p}is><{p}t xml:space="preserve">{plain}</{p}t></{p}is></{p}c>'
        ).encode()


def _uncalculated(file: BinaryIO) -> Iterator[bytes]:
    def change(name: str, attributes: Attributes) -> Attributes | None:
        of_chain = any(_CALCULATION in value for value in attributes.values())
        return None if name in ("Override", "Relationship") and of_chain else attributes

    return _with_changed(file, change)


def _with_changed(
    file: BinaryIO, change: Callable[[str, Attributes], Attributes | None]
) -> Iterator[bytes]:
    """Yield XML in which elements without content have other attributes, or are left out."""
    begun: list[tuple[str, Attributes, int]] = []

    def start(name: str, attributes: Attributes, place: int) -> None:
        begun.append((name, attributes, place))
        xml.hold = place

    def end(name: str, _: int, behind: int) -> None:
        attributes, place = begun.pop()[1:]
        xml.hold = None
        changed = change(name.rpartition(":")[2], attributes)
        if changed is None:
            xml.replace(place, behind, b"")
        elif changed != attributes:
            written = "".join(f" {key}={quoteattr(value)}" for key, value in changed.items())
            xml.replace(place, behind, f"<{name}{written}/>".encode())

    xml = XmlEdits(start, end)
    return xml.passed_on(file)
