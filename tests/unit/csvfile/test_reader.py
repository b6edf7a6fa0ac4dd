"""File text -> rows: encodings, separators, line ends, numbers, spill."""

from __future__ import annotations

import csv
import io
import tempfile
from itertools import product
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.csvfile import BadCatalogue, CatalogueLimits, read_images
from imgcompress.csvfile.parser import BrokenRecord, Records

from .files import HEADER, LIMITS, products_of, read_rows, rows_of, stream_of, urls_of

A, B = "https://a.test/1.jpg", "https://b.test/2.jpg"

ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-16-be-mark",
    "utf-32",
    "cp1252",
]
TABLE = [
    ["S. No.", "Product Name", "Input Image Urls"],
    ["1", "Café – crème", f"{A},{B}"],
    ["2", "Two,three;four\tfive|six", A],
    ["3", 'The "big"\none', B],
]
PRODUCTS = [
    (2, "1", "Café – crème", (A, B)),
    (3, "2", "Two,three;four\tfive|six", (A,)),
    (4, "3", 'The "big"\none', (B,)),
]


def encoded(text: str, encoding: str) -> bytes:
    if encoding == "utf-16-be-mark":
        return b"\xfe\xff" + text.encode("utf-16-be")
    return text.encode(encoding)


@pytest.mark.parametrize(
    "encoding, ending, delimiter", list(product(ENCODINGS, ["\n", "\r\n", "\r"], ",;\t|"))
)
def test_every_encoding_line_end_and_separator_reads_to_the_same_rows(
    encoding: str, ending: str, delimiter: str
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=ending).writerows(
        TABLE
    )
    assert products_of(encoded(text.getvalue(), encoding)) == PRODUCTS


@pytest.mark.parametrize(
    "header",
    [
        "S. No.,Product Name,Input Image Urls",
        "s.no,PRODUCT NAME,input image urls",
        " S_No , Product-Name ,Input  Image URLs:",
        "Serial Number,product_name,InputImageUrls",
        '"S. No.","Product\nName",Input Image Urls',
        "\ufeffS. No.,Product Name,Input Image Urls",
    ],
)
def test_headers_match_whatever_their_case_blanks_and_punctuation(header: str) -> None:
    assert products_of(f"{header}\n1,Lamp,{A}\n") == [(2, "1", "Lamp", (A,))]


def test_columns_may_come_in_any_order_among_others() -> None:
    (row,) = rows_of(f"Brand,Input Image Urls,Colour,Product Name,S. No.\nX,{A},red,Lamp,7\n")
    assert row == (2, "7", "Lamp", (A,), ("X", A, "red", "Lamp", "7"), None, None)


def test_the_column_called_s_no_wins_over_a_serial_number_beside_it() -> None:
    (row,) = rows_of(f"Serial Number,S. No.,Product Name,Input Image Urls\nZX9,1,Lamp,{A}\n")
    assert row.serial_number == "1"


@pytest.mark.parametrize(
    "cell, urls",
    [
        (A, [A]),
        (f"{A},{B}", [A, B]),
        (f"{A};{B}", [A, B]),
        (f"{A} {B}", [A, B]),
        (f"{A}\n{B}", [A, B]),
        (f"{A}, {B} ,{A}", [A, B, A]),
        (f"{A},,{B}", [A, B]),
        (f" ,{A};\n", [A]),
        (f"{A}\xa0{B}\u200b", [A, B]),
        ("https://x.test/a,b.jpg", ["https://x.test/a,b.jpg"]),
        ("https://x.test/w_4,h_3/a;b.jpg, " + B, ["https://x.test/w_4,h_3/a;b.jpg", B]),
        ("https://x.test/?u=https://y.test/1.jpg", ["https://x.test/?u=https://y.test/1.jpg"]),
        ("HTTPS://X.TEST/1.JPG,Http://y.test", ["HTTPS://X.TEST/1.JPG", "Http://y.test"]),
        ("https://x.test/größe.jpg", ["https://x.test/größe.jpg"]),
        ("https://[2001:db8::1]:443/1.jpg", ["https://[2001:db8::1]:443/1.jpg"]),
    ],
)
def test_a_cell_is_split_only_where_a_url_begins(cell: str, urls: list[str]) -> None:
    assert urls_of(f'{HEADER}1,Lamp,"{cell}"\n') == [tuple(urls)]


@pytest.mark.parametrize(
    "lines, urls",
    [
        (f"1,SKU1,{A},{B}", (A, B)),
        (f"1,SKU1,{A},,{B},,", (A, B)),
        (f"1,SKU1,,{B}", (B,)),
        (f"1,SKU1,{A},,,", (A,)),
        ("1,SKU1,https://x.test/w_4,h_3/a.jpg", ("https://x.test/w_4,h_3/a.jpg",)),
        (f'1,SKU1,{A},"{B} {A}"', (A, B, A)),
    ],
)
def test_urls_that_spill_over_the_last_column_belong_to_the_row(
    lines: str, urls: tuple[str, ...]
) -> None:
    assert urls_of(f"{HEADER}{lines}\n") == [urls]


def test_urls_spill_past_a_last_column_that_is_another() -> None:
    text = f"S. No.,Input Image Urls,Product Name\n1,{A},Lamp,{B}\n"
    (row,) = rows_of(text)
    assert (row.product_name, row.urls, row.cells) == ("Lamp", (A, B), ("1", f"{A},{B}", "Lamp"))


def test_urls_spill_into_columns_without_a_name_but_notes_stay_there() -> None:
    header = HEADER.strip() + ",,\n"
    assert [row.cells for row in rows_of(f"{header}1,Lamp,{A},{B},\n2,Sofa,{A},note,\n")] == [
        ("1", "Lamp", f"{A},{B}", "", ""),
        ("2", "Sofa", A, "note", ""),
    ]


@pytest.mark.parametrize("delimiter", ";\t|")
def test_urls_spill_with_every_separator(delimiter: str) -> None:
    text = f"{HEADER}1,Lamp,{A},{B}\n".replace(",", delimiter)
    assert urls_of(text) == [(A, B)]


@pytest.mark.parametrize("line", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
def test_excels_sep_line_is_honoured_and_has_no_number(line: str) -> None:
    text = f"{line}S. No.;Product Name;Input Image Urls\n1;Lamp;{A}\n"
    assert products_of(text) == [(2, "1", "Lamp", (A,))]


def test_excels_sep_line_may_name_any_separator() -> None:
    text = f"sep=^\n{HEADER}1,Lamp,{A}\n".replace(",", "^")
    assert products_of(text) == [(2, "1", "Lamp", (A,))]


def test_blank_lines_and_blank_rows_count_but_are_no_rows() -> None:
    text = f"\n,,\n{HEADER}\n1,Lamp,{A}\n ,\t,\n\n2,Sofa,{B}\n\n"
    assert [(row.number, row.serial_number) for row in rows_of(text)] == [(5, "1"), (8, "2")]


def test_a_newline_between_quotation_marks_makes_no_row() -> None:
    text = f'{HEADER}1,"Lamp\n\nbig",{A}\n2,Sofa,{B}\n'
    assert [row.number for row in rows_of(text)] == [2, 3]


def test_rows_may_be_short_and_cells_empty() -> None:
    text = f"Input Image Urls,S. No.,Product Name\n{A}\n{B},,\n"
    assert products_of(text) == [(2, "", "", (A,)), (3, "", "", (B,))]


def test_the_last_line_needs_no_end() -> None:
    assert urls_of(f"{HEADER}1,Lamp,{A}") == [(A,)]


@pytest.mark.parametrize("size", range(64 * 1024 - 4, 64 * 1024 + 4))
def test_a_line_end_on_the_border_of_two_blocks_is_one(size: int) -> None:
    start = f"{HEADER}1,".replace("\n", "\r\n")
    tail = f",{A}"
    filler = "x" * (size - len(start) - len(tail))
    text = f"{start}{filler}{tail}\r\n2,Sofa,{B}\r\n"
    assert [row.number for row in rows_of(text)] == [2, 3]


def test_the_callers_stream_is_left_open() -> None:
    with tempfile.SpooledTemporaryFile(max_size=10) as stream:
        stream.write(f"{HEADER}1,Lamp,{A}\n".encode())
        urls = [url for images in read_images(cast(BinaryIO, stream), LIMITS) for url in images[4]]
        assert urls == [A]
        assert not stream.closed


def test_reading_streams() -> None:
    stream = stream_of(HEADER + f"1,Lamp,{A}\n" * 20_000)
    next(read_images(stream, CatalogueLimits()))
    assert stream.tell() < 200_000


@pytest.mark.parametrize(
    "text, code",
    [
        ("", "empty_file"),
        ("a,b\n", "missing_column"),
        (f'{HEADER}1,"a"b,{A}\n', "stray_quote"),
        (f"{HEADER}" + f"1,a,{A}\n" * 51, "too_many_images"),
    ],
)
def test_a_file_that_was_not_validated_is_rejected(text: str, code: str) -> None:
    with pytest.raises(BadCatalogue) as raised:
        list(read_images(stream_of(text), LIMITS))
    assert raised.value.issue.code == code


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    table=st.lists(st.tuples(cells, cells, cells), max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_that_pythons_csv_module_writes_reads_back_equal(
    table: list[tuple[str, str, str]], delimiter: str, encoding: str
) -> None:
    rows = [(*row, f"https://x.test/{number}.jpg") for number, row in enumerate(table)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["S. No.", "Product Name", "Note", "Input Image Urls"])
    writer.writerows(rows)
    found = read_rows(text.getvalue().encode(encoding))
    assert [row.cells for row in found] == rows
    assert [row.number for row in found] == list(range(2, len(rows) + 2))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from(["", " ", "a", '"', '""', ",", "x,y", "\r", A, B]), max_size=4
        ).map("".join),
        max_size=12,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 99),
    st.integers(0, 3),
)
def test_records_are_the_same_one_by_one_and_many_at_a_time(
    lines: list[str], ending: str, block_chars: int, width: int
) -> None:
    text = ending.join(lines)
    blocks = [text[at : at + block_chars] for at in range(0, len(text), block_chars)]
    many = [
        (number, run) if isinstance(run, BrokenRecord) else (number + place, record)
        for number, run in Records(blocks, ",").runs(width)
        for place, record in enumerate([run] if isinstance(run, BrokenRecord) else run)
    ]
    assert many == list(Records(blocks, ","))


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}1, Lamp ,{A}\n\n2,Sofa,{B}\n",
        f'{HEADER}1,"a",{A}\n2,Sofa,"{A},{B}"\n,,\n',
        f"Quality,{HEADER}80,1,Lamp,{A}\n,2,Sofa,{A}\n",
        f"{HEADER}1,Lamp,{A},{B}\n2,Sofa,{A}\n",
    ],
)
def test_images_are_those_of_the_rows(text: str) -> None:
    assert [
        image
        for columns in read_images(stream_of(text), LIMITS)
        for image in zip(*columns, strict=True)
    ] == [
        (
            row.number,
            position,
            row.serial_number,
            row.product_name,
            url,
            row.options,
            row.output_name,
        )
        for row in rows_of(text)
        for position, url in enumerate(row.urls)
    ]


def test_images_beyond_the_limit_are_no_catalogue() -> None:
    text = f"{HEADER}1,Lamp,{A}\n2,Sofa,{B}\n"
    columns, *_ = read_images(stream_of(text), CatalogueLimits(max_images=2))
    assert columns[4] == [A, B]
    with pytest.raises(BadCatalogue, match="too_many_images"):
        list(read_images(stream_of(text), CatalogueLimits(max_images=1)))
