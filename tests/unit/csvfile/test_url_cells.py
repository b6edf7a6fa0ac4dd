"""The cells of image URLs, in all the forms in which shops and people write them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.csvfile.url_cells import UrlCells

from .files import HEADER, rows_of, surveyed

A, B, C = "https://a.test/1.jpg", "https://b.test/2.png?v=2", "http://c.test/3.webp"


def urls_of_cell(cell: str, **wishes: Any) -> tuple[str, ...]:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["Input Image Urls", "Note"], [cell, "x"], [A, "y"]])
    found = surveyed(text.getvalue(), **wishes)
    assert not found.issues, found.issues
    return rows_of(text.getvalue(), **wishes)[0].urls


@pytest.mark.parametrize(
    "cell, urls",
    [
        (f"{A}|{B}", (A, B)),
        (f"{A}?v=1|{B}|{C}?v=3", (f"{A}?v=1", B, f"{C}?v=3")),
        (f"{A};{B};", (A, B)),
        (f"{A},\n{B},", (A, B)),
        (f"{A} | {B}", (A, B)),
        (f"|{A}|", (A,)),
        (f"{A}<br>{B}", (A, B)),
        (f"{A}?x=1<br/>\n{B}<br />", (f"{A}?x=1", B)),
        (f"<p>{A}</p>", (A,)),
        (f"<{A}>", (A,)),
        (f"<{A}>, <{B}>", (A, B)),
        (f'<img src="{A}" alt="a">', (A,)),
        (f"<IMG width=3 src='{A}'/><img src={B}>", (A, B)),
        (f'<div><img class="x" src="{A}"></div>', (A,)),
        (f'<a href="{A}">front</a>', (A,)),
        (f"<a class=x href='{A}'>1</a>, <a href={B}>2</a>", (A, B)),
        (f'"{A}"', (A,)),
        (f"'{A}'", (A,)),
        (f'"{A}","{B}"', (A, B)),
        (f"“{A}”", (A,)),
        (f'["{A}", "{B}"]', (A, B)),
        (f"['{A}', '{B}']", (A, B)),
        (f'["{A}"]', (A,)),
        ('["https:\\/\\/a.test\\/1.jpg"]', (A,)),
        (f'[{{"url": "{A}", "id": "att1"}}]', (A,)),
        (f'{{"src": "{A}"}}', (A,)),
        (f'=IMAGE("{A}")', (A,)),
        (f'=HYPERLINK("{A}","photo")', (A,)),
        (f'=image("{B}", 4, 50)', (B,)),
        (f"![front]({A})", (A,)),
        (f"[front]({A}), [back]({B})", (A, B)),
        (f"front.jpg ({A})", (A,)),
        (f"lamp (1).jpg ({A}?ts=1&s=x),lamp 2.png ({B})", (f"{A}?ts=1&s=x", B)),
        ("front.jpg (https://a.test/lamp_(1).jpg)", ("https://a.test/lamp_(1).jpg",)),
        ("https://a.test/lamp_(1).jpg", ("https://a.test/lamp_(1).jpg",)),
        (f"{A}?w=1&amp;h=2", (f"{A}?w=1&h=2",)),
        (f"{A}?w=1&#38;h=2", (f"{A}?w=1&h=2",)),
        (f"{A}?a=1&copy=2&lt=3", (f"{A}?a=1&copy=2&lt=3",)),
        ("https://a.test/my photo.jpg", ("https://a.test/my%20photo.jpg",)),
        (f"https://a.test/my photo.jpg, {A}", ("https://a.test/my%20photo.jpg", A)),
        ("//cdn.test/1.jpg", ("https://cdn.test/1.jpg",)),
        (f"{C},//c.test/4.jpg", (C, "http://c.test/4.jpg")),
        (f"{A}?v=1,//a.test/2.jpg", (f"{A}?v=1", "https://a.test/2.jpg")),
        ("www.a.test/1.jpg", ("https://www.a.test/1.jpg",)),
        ("https:\\/\\/a.test\\/1.jpg", (A,)),
        ("https://x.test/w_4,h_3/a;b.jpg", ("https://x.test/w_4,h_3/a;b.jpg",)),
        (
            "https://x.test/fetch/w_80/https://y.test/1.jpg",
            ("https://x.test/fetch/w_80/https://y.test/1.jpg",),
        ),
        (f"https://x.test/?u={A}|{B}", (f"https://x.test/?u={A}", B)),
        ("N/A", ()),
        ("-", ()),
        ("no_selection", ()),
        ("NULL", ()),
        ("#N/A", ()),
        ("[]", ()),
        (f"no_selection,{A}", (A,)),
    ],
)
def test_the_urls_of_a_cell_are_found(cell: str, urls: tuple[str, ...]) -> None:
    assert urls_of_cell(cell) == urls


@pytest.mark.parametrize(
    "cell, urls",
    [
        ("photo.jpg", ("photo.jpg",)),
        ("/b/l/blue.jpg", ("b/l/blue.jpg",)),
        ("a.jpg,b.jpg", ("a.jpg", "b.jpg")),
        ("a.jpg;b.jpg|c.png", ("a.jpg", "b.jpg", "c.png")),
        ("my photo.jpg", ("my%20photo.jpg",)),
        ("a.jpg b.jpg", ("a.jpg", "b.jpg")),
        ("größe.jpg", ("gr%C3%B6%C3%9Fe.jpg",)),
        ("a%20b.jpg?v=1", ("a%20b.jpg?v=1",)),
        ("files/sku/image/a~mv2.jpg", ("files/sku/image/a~mv2.jpg",)),
        ("no_selection", ()),
    ],
)
def test_paths_and_names_are_completed_by_the_base_url(cell: str, urls: tuple[str, ...]) -> None:
    for base in ("https://m.test/media/p", "https://m.test/media/p/"):
        assert urls_of_cell(cell, base_url=base) == tuple(
            f"https://m.test/media/p/{url}" for url in urls
        )


def test_whole_urls_stay_as_they_are_beside_a_base_url() -> None:
    assert urls_of_cell(f"a.jpg, {A}, //c.test/2.jpg", base_url="http://m.test/") == (
        "http://m.test/a.jpg",
        A,
        "http://c.test/2.jpg",
    )


@pytest.mark.parametrize(
    "shared, direct",
    [
        (
            "https://drive.google.com/file/d/1AbC-_x/view?usp=sharing",
            "https://drive.google.com/uc?export=download&id=1AbC-_x",
        ),
        (
            "https://drive.google.com/open?id=1AbC&resourcekey=0-k",
            "https://drive.google.com/uc?export=download&id=1AbC&resourcekey=0-k",
        ),
        (
            "https://drive.google.com/drive/folders/1AbC",
            "https://drive.google.com/drive/folders/1AbC",
        ),
        ("https://www.dropbox.com/s/abc/a.jpg?dl=0", "https://www.dropbox.com/s/abc/a.jpg?dl=1"),
        (
            "https://www.dropbox.com/scl/fi/abc/a.jpg?rlkey=k&st=x&dl=0",
            "https://www.dropbox.com/scl/fi/abc/a.jpg?rlkey=k&st=x&dl=1",
        ),
        ("https://www.dropbox.com/home/a.jpg", "https://www.dropbox.com/home/a.jpg"),
        ("https://mydropbox.com/s/abc/a.jpg", "https://mydropbox.com/s/abc/a.jpg"),
    ],
)
def test_links_that_share_a_file_become_direct(shared: str, direct: str) -> None:
    assert urls_of_cell(shared) == (direct,)
    assert urls_of_cell(f"{A},{shared}") == (A, direct)


@pytest.mark.parametrize(
    "cell, code",
    [
        (f"{A}{B}", "invalid_url"),
        (f"{A}.{B}", "invalid_url"),
        (f"{A}_ftp://b.test/1", "invalid_url"),
        (f"{A} and more", "invalid_url"),
        (f"Front: {A}", "invalid_url"),
        ("photo.jpg", "relative_url"),
        ("data:image/png;base64,iVBORw0KGgo=", "invalid_url"),
        ("see page 3", "invalid_url"),
        (f'<a href="{A}"><img src="{B}"></a>', "invalid_url"),
        (f'<div data-src="{A}"></div>', "invalid_url"),
        (f"{A}, note here", "invalid_url"),
        ("#VALUE!", "invalid_url"),
    ],
)
def test_an_unreadable_cell_is_reported_and_never_read_as_a_url(cell: str, code: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["Input Image Urls", "Note"], [cell, "x"]])
    assert {issue.code for issue in surveyed(text.getvalue()).issues} == {code}


def test_with_skip_a_bad_cell_is_an_image_of_its_row_that_fails() -> None:
    text = f"{HEADER}1,a,{A}\n2,b,see page 3\n3,c,{B}\n"
    found = surveyed(text, skip_bad_rows=True)
    assert (found.issue_count, found.total_images) == (0, 3)
    (warning,) = found.warnings
    assert (warning.code, warning.row, warning.value) == ("invalid_url", 3, "see page 3")
    assert surveyed(text).issue_count == 1


MARKS = [
    "(",
    "[",
    "<",
    "](",
    "<img src=",
    '"',
    "'",
    "https://",
    "//",
    "|",
    ", ",
    "=IMAGE(",
    "{",
    "&amp;",
    "\\/",
    "www.a",
    ".jpg",
    " ",
    "a",
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*MARKS, A, B]), max_size=20).map("".join),
    st.sampled_from([None, "https://m.test/x/"]),
)
def test_any_cell_gives_texts_without_blanks_at_their_ends(cell: str, base: str | None) -> None:
    urls = UrlCells(base).split(cell)
    assert all(url and url == url.strip() for url in urls)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([A, B, C, "https://d.test/a,b.jpg"]), min_size=1, max_size=6),
    st.sampled_from([",", ", ", ";", " ; ", "|", "\n", " ", "\r\n", "<br>", "\t"]),
)
def test_urls_between_separators_are_all_found(urls: list[str], separator: str) -> None:
    assert UrlCells().split(separator.join(urls)) == tuple(urls)


STARTS = st.sampled_from(["http://", "https://", "HTTP://", "http:", "", "//"])
HOSTS = st.sampled_from(
    ["a.test", "a.test:80", "", "{x}", "(a)", "drive.google.com", "Dropbox.com"]
)
PATHS = st.sampled_from(
    ["/1.jpg", "/(1).jpg", "/a'", "'", "?u=http://b.test/2", "#x", "](//b.c)", ""]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.builds("{}{}{}".format, STARTS, HOSTS, PATHS), min_size=1, max_size=3))
def test_cells_that_are_plain_at_a_glance_are_the_urls_that_splitting_finds(
    cells: list[str],
) -> None:
    if UrlCells().all_plain(cells):
        assert [UrlCells().split(cell) for cell in cells] == [(cell,) for cell in cells]


def test_nearly_all_cells_are_plain_at_a_glance() -> None:
    assert UrlCells().all_plain([A, B, C, "https://a.test:8080/x(1)/~b"])
    assert not UrlCells().all_plain([A, f"{A}, {B}"])
    assert not UrlCells().all_plain([A, "https://www.dropbox.com/s/a/b.jpg?dl=0"])


@pytest.mark.parametrize("mark", MARKS)
def test_a_long_run_of_marks_is_fast(mark: str) -> None:
    """Quadratic matching would take minutes here, and the suite would be stopped."""
    assert UrlCells("https://m.test/").split(f"x{mark * 30_000}x")
