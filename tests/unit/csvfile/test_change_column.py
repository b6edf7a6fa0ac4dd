"""The column with what changed since an earlier job."""

from __future__ import annotations

import io

import openpyxl

from imgcompress.csvfile import kept_layout, opened_table, output_form, write_output
from imgcompress.csvfile.output import kept_output
from imgcompress.csvfile.validator import validate_file
from imgcompress.csvfile.writer import write_catalogue

from .files import HEADER, LIMITS, Outcome, allow, stream_of

CATALOGUE = f'{HEADER}1,A,"https://a.test/1.jpg,https://a.test/2.jpg"\n2,B,https://a.test/3.jpg\n'
OUTCOMES = (
    Outcome(2, 0, "https://b.test/1.jpg", None, "unchanged"),
    Outcome(2, 1, None, "not_found: gone"),
    Outcome(3, 0, "https://b.test/3.jpg", None, "new"),
)


def written(content: str, *, changes: bool) -> list[str]:
    """Write an output CSV; return its lines."""
    chunks = write_catalogue(stream_of(content), OUTCOMES, changes=changes)
    return b"".join(chunks).decode("utf-8-sig").splitlines()


def test_the_change_of_each_image_stands_in_the_place_of_its_url() -> None:
    lines = written(CATALOGUE, changes=True)
    assert lines[0].endswith(",Output Image Urls,Image Errors,Change")
    assert lines[1].endswith(',"https://b.test/1.jpg,",2: not_found: gone,"unchanged,"')
    assert lines[2].endswith(",https://b.test/3.jpg,,new")


def test_without_an_earlier_job_there_is_no_such_column() -> None:
    assert [line.count("Change") for line in written(CATALOGUE, changes=False)] == [0, 0, 0]


def test_the_column_of_an_earlier_run_is_overwritten() -> None:
    once = written(CATALOGUE, changes=True)
    assert written("\n".join([*once, ""]), changes=True) == once


def test_a_workbook_gets_the_column_too() -> None:
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.append(HEADER.strip().split(","))
    book.active.append(["1", "A", "https://a.test/1.jpg"])
    book.save(content)
    with opened_table(content, LIMITS, 2**24, None) as table:
        found = validate_file(table.csv, LIMITS, allow)
        assert found.layout
        kept = kept_layout(found.layout) | kept_output("append", table)
        form = output_form(kept, changes=True)
        output = b"".join(write_output(form, table.csv, table.workbook, OUTCOMES[:1], kept))
    rows = list(openpyxl.load_workbook(io.BytesIO(output)).active.values)
    assert rows[0][3:] == ("Output Image Urls", "Image Errors", "Change")
    assert rows[1][3:] == ("https://b.test/1.jpg", None, "unchanged")
