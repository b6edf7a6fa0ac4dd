"""The caller's own CSV with new URLs in its cells, byte for byte the same elsewhere."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.csvfile import kept_layout
from imgcompress.csvfile.layout import Layout
from imgcompress.csvfile.parser import Records
from imgcompress.csvfile.url_cells import UrlCells
from imgcompress.csvfile.verbatim import cell_spans, write_replaced

from .files import Outcome, stream_of, surveyed

A, B, C = "https://a.test/1.jpg", "https://b.test/2.png?v=2", "http://c.test/3.webp"
X, Y = "https://out.test/image/1/x.jpg", "https://out.test/image/2/y.jpg"


def layout_of(content: str | bytes, **wishes: Any) -> Layout:
    found = surveyed(content, **wishes)
    assert not found.issues and found.layout, found.issues
    return found.layout


def replaced(content: str | bytes, *outcomes: Outcome, **wishes: Any) -> bytes:
    kept = kept_layout(layout_of(content, **wishes))
    return b"".join(write_replaced(stream_of(content), outcomes, kept))


def done(row: int, position: int, url: str) -> Outcome:
    return Outcome(row, position, url, None)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1251", "shift_jis", "gb18030", "utf-32"],
)
@pytest.mark.parametrize(
    "text",
    [
        'SKU;"Photo";Note\r\n1;{A};"a ""b"";\r\n\nc"\r\n\r\n;;\r\n2;"{A}"; - 5 "x"\r\nTotal;;=SUM(A1)',
        "sep=,\nPhoto,Note\n{A},Лампа 日本 \n{A},@x,,\n",
        'Price list\n\n"Photo", "Note", "x"\r"{A}", "Лампа", \'y\'\r',
    ],
)
def test_only_the_url_cell_of_a_row_changes(text: str, encoding: str) -> None:
    text = text.replace("{A}", A)
    if encoding in ("cp1251", "utf-16-be"):
        text = text.replace("日本", "")
    content = text.encode(encoding)
    wishes = {"encoding": encoding, "url_columns": ("Photo",)}
    lines = text.splitlines()
    first = next(
        number for number, line in enumerate(lines, not text.startswith("sep=")) if A in line
    )
    changed = replaced(content, done(first, 0, X), **wishes)
    assert changed == text.replace(A, X, 1).encode(encoding)
    assert replaced(content, Outcome(first, 0, None, "x: y"), **wishes) == content


def test_two_byte_marks_and_stray_bytes_come_back() -> None:
    marked = b"\xef\xbb\xbf\xef\xbb\xbfPhoto,Note\n%s,a\n"
    assert replaced(marked % A.encode(), done(2, 0, X)) == marked % X.encode()
    stray = "Größe,Photo,Maß,ß\nä,%s,".encode() + b"\xe4 \xa0\x80" + ",ü\n".encode()
    assert replaced(stray % A.encode(), done(2, 0, X)) == stray % X.encode()


def test_bytes_of_an_old_encoding_that_mean_the_same_come_back() -> None:
    """Shift-JIS has two codes for this character; Python writes the other one."""
    content = b"Photo,Note\r\n%s,\xfa\x4a|\x83\x5c\r\n"
    assert b"\xfa\x4a".decode("cp932").encode("cp932") != b"\xfa\x4a"
    old = content % A.encode()
    assert replaced(old, done(2, 0, X), encoding="cp932") == content % X.encode()
    assert replaced(old, encoding="cp932") == old


@pytest.mark.parametrize(
    "cell, output",
    [
        ("{A} | {B}|", "{X} | {B}|"),
        ("{A};{B}", "{X};{B}"),
        ("{A}<br>{B}", "{X}<br>{B}"),
        ('<img alt="a.jpg" src="a.jpg">', '<img alt="a.jpg" src="{X}">'),
        (
            '<p><img class="x" src="{A}" alt="1.jpg"></p>',
            '<p><img class="x" src="{X}" alt="1.jpg"></p>',
        ),
        ("<a href='{A}'>1.jpg</a>", "<a href='{X}'>1.jpg</a>"),
        ("![1.jpg]({A} )", "![1.jpg]({X} )"),
        ("1.jpg ({A}),2.png ({B})", "1.jpg ({X}),2.png ({B})"),
        ('[ "{A}", "{B}" ]', '[ "{X}", "{B}" ]'),
        ("['{A}']", "['{X}']"),
        ('=IMAGE("{A}", 4)', '=IMAGE("{X}", 4)'),
        (" “{A}” ", " “{X}” "),
        ("//a.test/1.jpg", "{X}"),
        ("https://a.test/my photo.jpg,{B}", "{X},{B}"),
        ("https://www.dropbox.com/s/a/b.jpg?dl=0", "{X}"),
        ("{A}?w=1&amp;h=2 | {B}", "{X} | {B}"),
        ("https:\\/\\/a.test\\/1.jpg", "https:\\/\\/out.test\\/image\\/1\\/x.jpg"),
        ('["https:\\/\\/a.test\\/1.jpg"]', '["https:\\/\\/out.test\\/image\\/1\\/x.jpg"]'),
        ('["https://a.test/\\u0031.jpg", "{B}"]', '["{X}", "{B}"]'),
        ("no_selection,{A}", "no_selection,{X}"),
    ],
)
def test_a_url_is_replaced_within_the_text_of_its_cell(cell: str, output: str) -> None:
    def written(text: str) -> str:
        text = text.replace("{A}", A).replace("{B}", B).replace("{X}", X)
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow([text, "x"])
        return f"Photo,Note\n{line.getvalue()}{C},y\n"

    wishes = {"url_columns": ("Photo",), "base_url": "http://m.test/"}
    assert replaced(written(cell), done(2, 0, X), **wishes).decode() == written(output)


def test_an_ampersand_is_written_as_in_the_cell() -> None:
    signed = f"{X}?a=1&b=2"
    assert UrlCells().replaced(f"<img src='{A}?x&amp;y'>", [signed]) == (
        f"<img src='{X}?a=1&amp;b=2'>"
    )
    assert UrlCells().replaced(f"{A}?x&y", [signed]) == signed


def test_paths_below_a_base_url_become_urls_between_their_separators() -> None:
    text = 'sku,base_image,additional_images\n1,/a.jpg,"b.jpg, b.jpg"\n2,no_selection,\n'
    wishes = {"base_url": "https://m.test/"}
    assert replaced(text, done(2, 0, X), done(2, 2, Y), **wishes).decode() == (
        f'sku,base_image,additional_images\n1,{X},"b.jpg, {Y}"\n2,no_selection,\n'
    )


def test_the_quotation_marks_of_php_are_kept() -> None:
    text = f'Photo,Note\n"{A}","5\\" wide"\n"=IMAGE(\\"{B}\\")","x"\n'
    assert replaced(text, done(2, 0, X), done(3, 0, Y)).decode() == (
        f'Photo,Note\n"{X}","5\\" wide"\n"=IMAGE(\\"{Y}\\")","x"\n'
    )


def test_urls_that_spilled_are_replaced_where_they_stand() -> None:
    header = "S. No.,Product Name,Input Image Urls\n"
    assert replaced(f"{header}1,a,{A},,{B}\n", done(2, 0, X), done(2, 1, Y)).decode() == (
        f"{header}1,a,{X},,{Y}\n"
    )
    apart = f"{header}1,a,https://a.test/1,w_3.jpg\n"
    assert replaced(apart, done(2, 0, X)).decode() == f"{header}1,a,{X},\n"


def test_a_name_column_with_the_text_of_a_url_stays() -> None:
    text = f"Product Name,Input Image Urls,Other\n{A},{A},{A}\n"
    assert replaced(text, done(2, 0, X)).decode() == (
        f"Product Name,Input Image Urls,Other\n{A},{X},{A}\n"
    )


CELLS = st.text(st.sampled_from(' ab"ä,;|\t\r\n\\=-日'), max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["utf-8", "utf-16", "gb18030"]),
)
def test_whatever_the_quoting_only_the_url_changes(
    rows: list[list[str]], delimiter: str, ending: str, quoting: Any, encoding: str
) -> None:
    def content(url: str) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)
        writer.writerow(["Input Image Urls", "Product Name", "Note", "S. No."])
        # Python leaves a CR without quotation marks where lines end with LF.
        writer.writerows([url, *(cell.replace("\r", ending[0]) for cell in row)] for row in rows)
        return text.getvalue().encode(encoding)

    wishes = {"encoding": encoding}
    found = surveyed(content(A), **wishes)
    if found.issues:  # A blank before a quotation mark may be read as another dialect.
        return
    new = [done(number, 0, X) for number in range(2, len(rows) + 2)]
    assert replaced(content(A), **wishes) == content(A)
    changed = replaced(content(A), *new, **wishes)
    assert changed == content(X)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([A, B, C]), st.booleans()), min_size=1, max_size=5),
    st.sampled_from([",", ", ", ";", " ; ", "|", "\n", " ", "\r\n", "<br>", "\t"]),
    st.sampled_from(["{}", " {} ", "[{}]", "<p>{}</p>", "&nbsp;{}", "{},"]),
)
def test_the_separators_of_a_cell_are_kept(
    urls: list[tuple[str, bool]], separator: str, around: str
) -> None:
    cell = around.format(separator.join(url for url, _ in urls))
    if UrlCells().split(cell) != tuple(url for url, _ in urls):
        return
    new = [X if changes else None for _, changes in urls]
    expected = [X if changes else url for url, changes in urls]
    assert UrlCells().replaced(cell, new) == around.format(separator.join(expected))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('"\\, ;a\n\r'), max_size=30), st.sampled_from(",;"), st.booleans())
def test_the_texts_of_records_are_the_file_and_their_cells_are_found(
    text: str, delimiter: str, blanks: bool
) -> None:
    records = Records([text], delimiter, blanks)
    texts = []
    for _, cells in records:
        if not isinstance(cells, list):
            return
        texts.append(records.text)
        if cells:
            written = records.text.replace('\\"', '""') if records.escaped else records.text
            spans = cell_spans(written, delimiter, blanks)
            assert [_value(written[start:end]) for start, end in spans] == cells
    assert "".join(texts) == text


def _value(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell
