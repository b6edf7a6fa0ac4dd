"""Archives and workbooks: the table in them, and the error where there is none."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import openpyxl
import pytest

from imgcompress.csvfile import BadCatalogue, CatalogueLimits, Issue, opened_table

from .files import HEADER, LIMITS, stream_of

A = "https://a.test/1.jpg"
TABLE = f"{HEADER}1,a,{A}\n".encode()
ROWS = [["S. No.", "Product Name", "Input Image Urls"], ["1", "a", A]]
MOST = 2**20


def table_in(
    content: bytes,
    sheet: str | None = None,
    limits: CatalogueLimits = LIMITS,
    max_bytes: int = MOST,
) -> bytes:
    with opened_table(stream_of(content), limits, max_bytes, sheet) as (table, *_):
        return table.read()


def rows_in(content: bytes, sheet: str | None = None) -> list[list[str]]:
    text = table_in(content, sheet).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def issue_in(content: bytes, sheet: str | None = None, **more: Any) -> Issue:
    with pytest.raises(BadCatalogue) as raised:
        table_in(content, sheet, **more)
    return raised.value.issue


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", ".").replace("--", "/"), content)
    return target.getvalue()


def xlsx(rows: Sequence[Sequence[Any]], **more: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Products"
    for name, lines in {"Products": rows, **more}.items():
        sheet = book["Products"] if name == "Products" else book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def ods(body: str, manifest: str = "<manifest/>") -> bytes:
    names = {
        name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
        for name in ("office", "table", "text")
    }
    spaces = " ".join(f'xmlns:{name}="{space}"' for name, space in names.items())
    content = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet>{body}"
        "</office:spreadsheet></office:body></office:document-content>"
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED
        )
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", manifest)
    return target.getvalue()


def cell(text: str) -> str:
    return f"<table:table-cell><text:p>{text}</text:p></table:table-cell>"


def test_a_plain_file_is_passed_on_unchanged() -> None:
    stream = stream_of(TABLE)
    with opened_table(stream, LIMITS, 1) as (table, *_):
        assert table is stream and table.tell() == 0


@pytest.mark.parametrize(
    "content",
    [
        gzipped(TABLE),
        gzipped(TABLE[:30]) + gzipped(TABLE[30:]),
        zipped(products__csv=TABLE),
        zipped(a__TXT=TABLE, readme__pdf=b"x", __MACOSX=b""),
        zipped(
            **{"__MACOSX--._a__csv": b"x", "folder--a__tsv": TABLE, "folder--__hidden__csv": b"y"}
        ),
    ],
)
def test_a_compressed_table_is_unpacked(content: bytes) -> None:
    assert table_in(content) == TABLE


def test_a_workbook_may_be_compressed() -> None:
    assert rows_in(zipped(a__xlsx=xlsx(ROWS))) == ROWS
    assert rows_in(gzipped(xlsx(ROWS))) == ROWS


@pytest.mark.parametrize(
    "content, code",
    [
        (zipped(a__csv=TABLE, b__csv=TABLE), "several_tables"),
        (zipped(a__pdf=b"x"), "no_table"),
        (gzipped(TABLE)[:-9], "damaged_file"),
        (b"\x1f\x8b" + bytes(30), "damaged_file"),
        (zipped(a__csv=TABLE)[:-9], "damaged_file"),
        (b"PK\3\4" + bytes(90), "damaged_file"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + bytes(70_000)
            + "EncryptedPackage".encode("utf-16-le"),
            "encrypted_file",
        ),
        (ods(cell("x"), "<manifest:encryption-data/>"), "encrypted_file"),
        (gzipped(bytes(MOST + 1)), "unpacked_too_large"),
        (zipped(a__csv=bytes(MOST + 1)), "unpacked_too_large"),
        (zipped(**{"[Content_Types]__xml": b"x", "xl--workbook__xml": b"x"}), "damaged_file"),
        (
            zipped(**{"[Content_Types]__xml": bytes(5 * 2**20), "xl--workbook__xml": b"x"}),
            "unpacked_too_large",
        ),
        (ods("<table:table></table:row>"), "damaged_file"),
        (
            ods(
                f"<table:table><table:table-row>{cell('x' * 5 * 2**20)}</table:table-row></table:table>"
            ),
            "unpacked_too_large",
        ),
    ],
)
def test_a_file_that_cannot_be_unpacked_is_reported(content: bytes, code: str) -> None:
    issue = issue_in(content)
    assert (issue.code, issue.row) == (code, None)


@pytest.mark.parametrize(
    "content, says",
    [
        (xlsx(ROWS)[:3_000], "The workbook is damaged"),
        (ods(cell("x"))[:200], "The spreadsheet is damaged"),
        (zipped(a__csv=TABLE)[:-9], "The ZIP archive is damaged"),
        (zipped(Index__iwa=b"x", **{"Index--Document__iwa": b"x"}), "an Apple Numbers document"),
    ],
)
def test_a_file_is_named_after_its_intended_type(content: bytes, says: str) -> None:
    assert says in issue_in(content).message


def test_an_encrypted_entry_of_an_archive_is_reported() -> None:
    content = bytearray(zipped(a__csv=TABLE))
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    assert issue_in(bytes(content)).code == "encrypted_file"


def test_an_archive_of_very_many_names_is_rejected_before_they_are_read() -> None:
    names = {f"{'x' * 200}{number}": b"" for number in range(9_000)}
    assert issue_in(zipped(**names)).code == "several_tables"


@pytest.mark.parametrize(
    "content",
    [
        zipped(**{"[Content_Types]__xml": b"", "word--document__xml": b""}),
        zipped(mimetype=b"epub"),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(90),
    ],
)
def test_other_kinds_of_files_are_left_to_the_validation(content: bytes) -> None:
    assert table_in(content) == content


def test_the_cells_of_a_workbook_are_as_people_read_them() -> None:
    book = openpyxl.load_workbook(io.BytesIO(xlsx([])))
    sheet = book.active
    values = [
        614141999996,
        12.9,
        3.0,
        True,
        datetime(2026, 1, 31),
        datetime(2026, 1, 31, 10, 5),
        "00123",
        "0614141999996",
        "a\nb",
        None,
        '=HYPERLINK("https://a.test/1.jpg","photo")',
        '=_xlfn.IMAGE("https://a.test/2.jpg")',
        1e20,
        "größe 大",
    ]
    for column, value in enumerate(values, 1):
        sheet.cell(3, column, value)
    target = io.BytesIO()
    book.save(target)
    assert rows_in(target.getvalue()) == [
        [],
        [],
        [
            "614141999996",
            "12.9",
            "3",
            "TRUE",
            "2026-01-31",
            "2026-01-31 10:05:00",
            "00123",
            "0614141999996",
            "a\nb",
            "",
            '=HYPERLINK("https://a.test/1.jpg")',
            '=IMAGE("https://a.test/2.jpg")',
            "100000000000000000000",
            "größe 大",
        ],
    ]


def with_part(book: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return a workbook with a changed part."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, change(content) if entry.filename == name else content)
    return target.getvalue()


def test_many_styles_take_no_memory_and_dates_are_known_among_them() -> None:
    book = openpyxl.Workbook()
    book.active.append(["Name", date(2026, 1, 31), timedelta(hours=30)])
    target = io.BytesIO()
    book.save(target)
    more = b"<font><b/><name val='x'/></font>" * 100_000
    content = with_part(
        target.getvalue(),
        "xl/styles.xml",
        lambda styles: styles.replace(b"</fonts>", more + b"</fonts>"),
    )
    rows_in(xlsx(ROWS))
    tracemalloc.start()
    try:
        assert rows_in(content) == [["Name", "2026-01-31", "1 day, 6:00:00"]]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - len(content) < 8 * 2**20


def test_a_row_of_more_cells_than_any_sheet_has_is_damaged() -> None:
    content = with_part(
        xlsx(ROWS),
        "xl/worksheets/sheet1.xml",
        lambda sheet: sheet.replace(b"</row>", b"<c/>" * 70_000 + b"</row>", 1),
    )
    assert issue_in(content).code == "damaged_file"
    cells = cell("x") * 40_000
    table = f"<table:table><table:table-row>{cells}</table:table-row></table:table>"
    assert issue_in(ods(table)).code == "damaged_file"


def test_a_formula_has_its_last_value() -> None:
    plain = xlsx([["a", 1]])
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            changed.writestr(
                name, source.read(name).replace(b"<v>1</v>", b"<f>SUM(1,2)</f><v>3</v>")
            )
    assert rows_in(target.getvalue()) == [["a", "3"]]


def test_a_sheet_is_named_or_the_first() -> None:
    content = xlsx(ROWS, Other=[["x"]])
    assert (rows_in(content), rows_in(content, "Other")) == (ROWS, [["x"]])
    issue = issue_in(content, "Prices")
    assert (issue.code, issue.value) == ("unknown_sheet", "Prices")
    assert "“Products”, “Other”" in issue.message


def test_a_spreadsheet_of_opendocument() -> None:
    repeated = '<table:table-cell table:number-columns-repeated="{}"/>'
    content = ods(
        '<table:table table:name="one"><table:table-header-rows><table:table-row>'
        + cell("S. No.")
        + cell("Name")
        + cell("URL")
        + repeated.format(16_000)
        + "</table:table-row></table:table-header-rows><table:table-row"
        ' table:number-rows-repeated="2"/><table:table-row table:number-rows-repeated="2">'
        '<table:table-cell office:value-type="float" office:value="614141999996"/>'
        '<table:table-cell office:value-type="date" office:date-value="2026-01-31T00:00:00"/>'
        '<table:table-cell><text:p>a<text:s text:c="2"/>b <text:a>c</text:a>!</text:p><text:p>d'
        "</text:p></table:table-cell>"
        + repeated.format(2)
        + '<table:table-cell table:formula="of:=HYPERLINK(&quot;https://a.test/1.jpg&quot;;1)"/>'
        '</table:table-row><table:table-row table:number-rows-repeated="1048570"/></table:table>'
        f'<table:table table:name="two"><table:table-row>{cell("x")}</table:table-row>'
        "</table:table>"
    )
    row = ["614141999996", "2026-01-31", "a  b c!\nd", "", "", '=HYPERLINK("https://a.test/1.jpg")']
    assert rows_in(content) == [["S. No.", "Name", "URL"], [], [], row, row]
    assert rows_in(content, "two") == [["x"]]
    assert issue_in(content, "three").code == "unknown_sheet"


@pytest.mark.parametrize("rows", ["1048576", "999999999999"])
def test_no_more_rows_are_written_than_are_validated(rows: str) -> None:
    content = ods(
        f'<table:table><table:table-row table:number-rows-repeated="{rows}">{cell("x")}'
        "</table:table-row></table:table>"
    )
    limits = CatalogueLimits(max_images=50)
    assert len(table_in(content, limits=limits).splitlines()) == limits.max_rows + 1


def test_memory_does_not_grow_with_a_workbook() -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Products")
    for number in range(12_000):
        sheet.append([number, f"Product {number}", f"https://a.test/{number}.jpg", "x" * 300])
    target = io.BytesIO()
    book.save(target)
    content = target.getvalue()
    table_in(xlsx(ROWS))
    tracemalloc.start()
    try:
        with opened_table(stream_of(content), CatalogueLimits(), 2**26) as (table, *_):
            lines = sum(1 for _ in table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines == 12_000
    assert peak - len(content) < 4 * 2**20
