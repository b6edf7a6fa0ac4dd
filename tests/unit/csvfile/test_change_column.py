"""The columns beside URLs and errors: what changed, the score, and the advice."""

from __future__ import annotations

import io

import openpyxl

from imgcompress.csvfile import kept_layout, opened_table, output_form, write_output
from imgcompress.csvfile.layout import kept_output, parse_output_columns
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
    chunks = write_catalogue(stream_of(content), OUTCOMES, columns=["change"] if changes else [])
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


def test_the_score_and_the_advice_of_each_image_are_columns_that_may_be_asked_for() -> None:
    outcomes = (
        Outcome(2, 0, "https://b.test/1.jpg", None, None, "78.4", "webp 61%"),
        Outcome(2, 1, "https://b.test/2.jpg", None, None, "100.0"),
    )
    with opened_table(stream_of(CATALOGUE), LIMITS, 2**24, None) as table:
        found = validate_file(table.csv, LIMITS, allow)
        assert found.layout
        kept = kept_layout(found.layout) | kept_output("append", table, "score,advice")
        form = output_form(kept, changes=False)
        lines = b"".join(write_output(form, table.csv, None, outcomes, kept)).decode().splitlines()
    assert lines[0].endswith(",Output Image Urls,Image Errors,Score,Advice")
    assert lines[1].endswith(',,"78.4,100.0","webp 61%,"')
    assert lines[2].endswith(",,,,")


def test_the_names_of_further_columns_are_read_in_any_order() -> None:
    assert parse_output_columns(" Advice,score,score") == "score,advice"
    assert parse_output_columns("score,change") is None
    assert parse_output_columns("") is None
