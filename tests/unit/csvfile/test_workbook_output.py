"""A workbook that comes back with new URLs, and with everything else as it was."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from imgcompress.csvfile import (
    CatalogueLimits,
    Wishes,
    kept_layout,
    kept_output,
    opened_table,
    output_form,
    validate_file,
    write_output,
)

from .files import Outcome, allow, stream_of

A, B, C = "https://a.test/1.jpg", "https://b.test/2.png?v=2&w=<3>", "http://c.test/3.webp"
X, Y = "https://out.test/image/1/x.jpg?a=1&b=2", "https://out.test/image/2/y.jpg"
LIMITS = CatalogueLimits()


def book(fill: Callable[[Worksheet], Any]) -> bytes:
    made = openpyxl.Workbook()
    fill(made.worksheets[0])
    target = io.BytesIO()
    made.save(target)
    return target.getvalue()


def rows(*values: list[Any]) -> bytes:
    return book(lambda sheet: [sheet.append(row) for row in values])


def written(
    content: bytes,
    *outcomes: Outcome,
    output: str = "replace",
    sheet: str | None = None,
    **wishes: Any,
) -> bytes:
    """Read a workbook as an upload, and write its output."""
    with opened_table(stream_of(content), LIMITS, 2**24, sheet) as table:
        found = validate_file(table.csv, LIMITS, allow, Wishes(**wishes))
        assert not found.issues and found.layout, found.issues
        kept = kept_layout(found.layout) | kept_output(output, table)
        form = output_form(kept)
        assert form.ending in (".xlsx", ".xlsm")
        return b"".join(write_output(form, table.csv, table.workbook, outcomes, kept))


def done(row: int, position: int, url: str) -> Outcome:
    return Outcome(row, position, url, None)


def values(content: bytes, sheet: int = 0, **options: Any) -> list[list[Any]]:
    opened = openpyxl.load_workbook(io.BytesIO(content), **options)
    return [[cell.value for cell in row] for row in opened.worksheets[sheet]]


def parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def rezipped(content: bytes, changes: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in (parts(content) | changes).items():
            archive.writestr(name, data)
    return target.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_urls_are_replaced_in_their_cells_and_nothing_else_changes() -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(["Price list", None, None, 2026])
        sheet.append([])
        sheet.append(["S. No.", "Product Name", "Input Image Urls", "Price"])
        sheet.append(["0012", "Mug", f"{A}, {B}", 12.5])
        sheet.append([2, "=A4", C, "=D4*2"])
        sheet["C4"].font = Font(bold=True, color="FF0000")
        sheet.column_dimensions["C"].width = 40
        sheet.merge_cells("A1:C1")
        other = sheet.parent.create_sheet("Other")
        other["A1"] = A

    before = book(fill)
    after = written(before, done(4, 0, X), Outcome(4, 1, None, "x: y"), done(5, 0, Y))
    expected = values(before)
    expected[3][2], expected[4][2] = f"{X}, {B}", Y
    assert values(after) == expected
    assert values(after, 1) == [[A]]
    sheet = openpyxl.load_workbook(io.BytesIO(after)).worksheets[0]
    assert (sheet["C4"].font.b, sheet["C4"].font.color.rgb) == (True, "00FF0000")
    assert sheet.column_dimensions["C"].width == 40 and "A1:C1" in sheet.merged_cells
    changed = {name for name, data in parts(after).items() if parts(before)[name] != data}
    assert changed == {SHEET} and parts(after).keys() == parts(before).keys()
    # The cells around are the same to the byte.
    cells = re.compile(rb"<c .*?</c>")
    old, new = (cells.findall(parts(content)[SHEET]) for content in (before, after))
    assert len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 2
    assert parts(written(before)) == parts(before)


def test_two_columns_are_appended_behind_the_header() -> None:
    before = rows(
        ["S. No.", "Product Name", "Input Image Urls"], [1, "=1+1", f"{A},{B}"], [], [2, None, C]
    )
    error = Outcome(4, 0, None, "dns_failed: =no <such> host")
    after = written(before, done(2, 0, X), error, output="append")
    expected = values(before)
    expected[0] += ["Output Image Urls", "Image Errors"]
    expected[1] += [f"{X},", None]
    expected[2] += [None, None]
    expected[3] += [None, "1: dns_failed: =no <such> host"]
    assert values(after) == expected
    assert values(after, read_only=True) == expected
    # A second pass has the same columns.
    again = written(after, done(2, 0, Y), done(2, 1, Y), done(4, 0, X), output="append")
    assert [row[3:] for row in values(again)] == [
        ["Output Image Urls", "Image Errors"],
        [f"{Y},{Y}", None],
        [None, None],
        [X, None],
    ]


def test_a_link_to_an_image_is_read_and_gets_the_new_target() -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(["Product Name", "Photo", "Page"])
        for row, (text, target) in enumerate([("front (1)", A), ("photo", B), (C, C)], 2):
            sheet.append([f"Mug {row}", text, "more"])
            sheet.cell(row, 2).hyperlink = target
            sheet.cell(row, 2).value = text
            sheet.cell(row, 3).hyperlink = "https://shop.test/mug"
            sheet.cell(row, 3).value = "more"

    before = book(fill)
    with opened_table(stream_of(before), LIMITS, 2**24) as table:
        assert table.csv.read().decode("utf-8-sig").splitlines()[1:] == [
            f"Mug 2,front (1) ({A}),more",
            f"Mug 3,photo ({B.replace('<', '%3C').replace('>', '%3E')}),more",
            f"Mug 4,{C},more",
        ]
    after = written(before, done(2, 0, X), done(4, 0, Y))
    sheet = openpyxl.load_workbook(io.BytesIO(after)).worksheets[0]
    found = [(cell.value, cell.hyperlink and cell.hyperlink.target) for cell in sheet["B"]]
    assert found == [("Photo", None), ("front (1)", X), ("photo", B), (Y, Y)]
    assert {sheet.cell(row, 3).hyperlink.target for row in (2, 3, 4)} == {"https://shop.test/mug"}


def test_a_formula_that_names_an_image_stays_a_formula() -> None:
    before = rows(
        ["Product Name", "Photo"], ["Mug", f'=IMAGE("{A}", 4)'], ["Cup", f'=HYPERLINK("{C}","x")']
    )
    after = written(before, done(2, 0, X), done(3, 0, Y))
    assert [row[1] for row in values(after)] == [
        "Photo",
        f'=IMAGE("{X}", 4)',
        f'=HYPERLINK("{Y}","x")',
    ]


def test_a_formula_that_was_shared_is_taken_from_the_cells_that_had_it() -> None:
    """The first of them has its text; Excel refuses a sheet where only the others are left."""
    before = rows(["Product Name", "Photo", "x"], ["Mug", A, 1], ["Cup", C, 2])
    cells = parts(before)[SHEET]
    found = re.findall(rb'<c r="B[23]".*?</c>', cells)
    shared = cells.replace(
        found[0],
        b'<c r="B2" t="str"><f t="shared" ref="B2:B3" si="0">D2</f><v>%s</v></c>' % A.encode(),
    ).replace(found[1], b'<c r="B3" t="str"><f t="shared" si="0"/><v>%s</v></c>' % C.encode())
    chain = b"<calcChain><c r='B2' i='1'/></calcChain>"
    types = parts(before)["[Content_Types].xml"].replace(
        b"</Types>",
        b'<Override PartName="/xl/calcChain.xml" ContentType="application/x.calcChain"/></Types>',
    )
    relations = parts(before)["xl/_rels/workbook.xml.rels"].replace(
        b"</Relationships>",
        b'<Relationship Id="rId99" Type="x/calcChain" Target="calcChain.xml"/></Relationships>',
    )
    content = rezipped(
        before,
        {
            SHEET: shared,
            "xl/calcChain.xml": chain,
            "[Content_Types].xml": types,
            "xl/_rels/workbook.xml.rels": relations,
        },
    )
    after = parts(written(content, done(2, 0, X)))
    assert b"<f" not in after[SHEET] and C.encode() in after[SHEET]
    assert values(written(content, done(2, 0, X)))[2] == ["Cup", C, 2]
    assert not [name for name, data in after.items() if b"calcChain" in name.encode() + data]


def test_cells_and_rows_without_numbers_and_with_prefixes_are_found() -> None:
    before = rows(["Product Name", "Photo"], ["Mug", A])
    sheet = (
        b'<?xml version="1.0" encoding="UTF-8"?><x:worksheet'
        b' xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        b'<x:dimension ref="A1:B2"/><x:sheetData>'
        b'<x:row spans="1:2"><x:c t="inlineStr"><x:is><x:t>Product Name</x:t></x:is></x:c>'
        b'<x:c t="inlineStr"><x:is><x:t>Photo</x:t></x:is></x:c></x:row><x:row/><x:row spans="1:2">'
        b'<x:c/><x:c t="inlineStr"><x:is><x:t>%s</x:t></x:is></x:c><x:c s="0"/></x:row>'
        b"</x:sheetData></x:worksheet>" % A.encode()
    )
    content = rezipped(before, {SHEET: sheet})
    assert values(written(content, done(3, 0, X)))[2][:2] == [None, X]
    appended = written(content, done(3, 0, X), output="append")
    assert values(appended)[2] == [None, A, X, None]
    assert b'ref="A1:D2"' in parts(appended)[SHEET] and b"spans" not in parts(appended)[SHEET]


def test_a_named_sheet_is_the_one_that_changes() -> None:
    def fill(sheet: Worksheet) -> None:
        sheet.append(["Product Name", "Photo"])
        sheet.append(["Mug", A])
        other = sheet.parent.create_sheet("Other")
        other.append(["Photo", "x"])
        other.append([A, 1])

    after = written(book(fill), done(2, 0, X), sheet="Other")
    assert (values(after)[1], values(after, 1)[1]) == (["Mug", A], [X, 1])


@pytest.mark.parametrize(
    "change",
    [
        lambda sheet: sheet.decode().replace("utf-8", "utf-16").encode("utf-16"),
        lambda sheet: (
            b"<?xml version='1.0' encoding='ISO-8859-1'?>" + sheet[sheet.index(b"<work") :]
        ),
    ],
)
def test_a_sheet_in_another_encoding_becomes_a_csv(change: Callable[[bytes], bytes]) -> None:
    before = rows(["Product Name", "Photo"], ["Mug", A])
    sheet = b"<?xml version='1.0' encoding='utf-8'?>" + parts(before)[SHEET]
    with opened_table(stream_of(rezipped(before, {SHEET: change(sheet)})), LIMITS, 2**24) as table:
        assert table.workbook is None and A.encode() in table.csv.read()


def test_a_workbook_that_is_too_large_to_be_written_back_becomes_a_csv() -> None:
    content = rezipped(rows(["Photo", "x"], [A, 1]), {"xl/media/a.bin": bytes(2**20)})
    with opened_table(stream_of(content), LIMITS, 2**17) as table:
        assert table.workbook is None
