"""What a survey says of files that are not as they should be."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.csvfile import CatalogueLimits, Validation, validate_file
from imgcompress.csvfile.model import MESSAGES

from .files import HEADER, LIMITS, only_issue, rows_of, stream_of, surveyed, written

URL = "https://a.test/1.jpg"
URLS = "Input Image Urls"


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return target.getvalue()


def tarred(content: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("products.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize(
    "content, kind",
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "JPEG image"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP image"),
        (b"%PDF-1.7\n", "PDF document"),
        (gzip.compress(HEADER.encode(), mtime=0), "gzip archive"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "Excel workbook (.xlsx)"),
        (zipped("[Content_Types].xml", "word/document.xml"), "Office document"),
        (zipped("catalogue.csv"), "ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "old Excel workbook"),
        (tarred(HEADER.encode()), "tar archive"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html></html>", "HTML page"),
        (b"<?xml version='1.0'?><a/>", "XML document"),
        (b'[{"url": "https://a.test/1.jpg"}]', "JSON document"),
        (bytes(range(256)) * 4, "binary data"),
    ],
)
def test_a_file_that_is_no_csv_is_reported_by_its_kind(content: bytes, kind: str) -> None:
    issue = only_issue(content)
    assert (issue.code, issue.row, issue.column) == ("not_a_csv", None, None)
    assert kind in issue.message


@pytest.mark.parametrize(
    "content, code, row, column",
    [
        (b"", "empty_file", None, None),
        (b"\xef\xbb\xbf", "empty_file", None, None),
        (b"\xff\xfe", "empty_file", None, None),
        (b" \r\n;;;\r\n\r\n", "empty_file", None, None),
        (b"sep=;\r\n", "empty_file", None, None),
        (b"\n" * 1_000 + HEADER.encode(), "empty_file", None, None),
        (f"{HEADER}1,a,{URL}\n" + "\n" * 1_100, "too_many_rows", None, None),
        (HEADER, "no_rows", None, None),
        (HEADER.strip(), "no_rows", None, None),
        (f"{HEADER}\n,,\n \n", "no_rows", None, None),
        ("\n\nS. No.,Product Name\n1,a\n", "missing_column", 3, URLS),
        (f"\nSKU,Front,Back\n1,{URL},{URL}\n", "unclear_columns", 2, None),
        (f"{URL}\n{URL}\n", "no_header", 1, None),
        (f"\n1,Mug,{URL}\n2,Cup,{URL}\n", "no_header", 2, None),
        (f'"Name,Photo"\n"Mug,{URL}"\n"Cup,{URL}"\n', "cells_not_separated", None, None),
        (f"Name~Photo\nMug~{URL}\n", "cells_not_separated", None, None),
        (
            f"S. No.,Product Name,{URLS},product name\n1,a,{URL},b\n",
            "duplicate_column",
            1,
            "Product Name",
        ),
        (f"S. No.,Product Name,{URLS},{URLS}\n1,a,{URL},{URL}\n", "duplicate_column", 1, URLS),
        (HEADER.strip() + ",x" * 9_997 + f"\n1,a,{URL}\n", "too_many_columns", 1, None),
        (f"{HEADER}1,a,{URL}" + ",x" * 9_997, "too_many_columns", 2, None),
        (f"{HEADER}1,a,{URL}\n" * 1 + f"2,b,{URL}\n" * 51, "too_many_images", None, None),
        (f"{HEADER}1,a,\n2,b,N/A\n", "no_images", None, None),
        (f'{HEADER}1,a," , \n"\n', "no_images", None, None),
        (f"{HEADER}1,a,see below\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,media/1.jpg\n", "relative_url", 2, URLS),
        (f"{HEADER}1,a,/m/1.jpg?v=1\n", "relative_url", 2, URLS),
        (f"{HEADER}1,a,data:image/png;base64,iVBORw0KGgo=\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,C:\\photos\\1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,\\\\server\\1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,{URL}{URL}\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,{URL}.ftp://b.test/2.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,ftp://a.test/1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,{URL} see below\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://a.test\\1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://a.test/\x07.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://:80/1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://a.test:http/1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://[::1/1.jpg\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,https://a.test/{'x' * 8_200}\n", "invalid_url", 2, URLS),
        (f"{HEADER}1,a,{URL},note here\n", "invalid_url", 2, URLS),
        (f"S. No.,{URLS},Product Name\n1,{URL},red,blue\n", "extra_cells", 2, None),
        (f'{HEADER}1,"a,{URL}\n2,b,{URL}\n', "unclosed_quote", 2, "Product Name"),
        (f'{HEADER}1,a,{URL}\n2,b,"{URL}', "unclosed_quote", 3, URLS),
        (f'{HEADER}1,"a,{URL}\n2,"b",{URL}\n', "unclosed_quote", 2, "Product Name"),
        (f'"{HEADER}1,a,{URL}\n', "unclosed_quote", 1, None),
        (f'{HEADER}1,"big" lamp,{URL}\n', "stray_quote", 2, "Product Name"),
        (f"{HEADER}1,{'x' * 600_000},{URL}\n", "cell_too_long", 2, "Product Name"),
        (f'{HEADER}1,"{"x" * 600_000}",{URL}\n', "cell_too_long", 2, "Product Name"),
        (HEADER + "x," * 1_000_000, "row_too_long", 2, None),
        (HEADER + '"\n",' * 400_000, "row_too_long", 2, None),
        (f"{HEADER}1,a\0b,{URL}\n", "nul_character", 2, "Product Name"),
        (
            f"{HEADER}1,caf\udc81,{URL}\n".encode("utf-8", "surrogateescape"),
            "bad_encoding",
            2,
            "Product Name",
        ),
        (f"{HEADER}1,a,{URL}\n".encode("utf-16")[:-1], "bad_encoding", 2, URLS),
    ],
)
def test_a_malformed_file_is_reported_by_row_and_column(
    content: str | bytes, code: str, row: int | None, column: str | None
) -> None:
    issue = only_issue(content)
    assert (issue.code, issue.row, issue.column) == (code, row, column)


def test_all_issues_of_a_file_come_in_one_answer_those_of_the_file_first() -> None:
    text = (
        f'S. No.,Brand,{URLS}\n1,x,nothing\n2,"y"z,{URL}\n3,x,a.jpg\n4,x\0,{URL} ftp\n'
        f'5,x,{URL} https://b.test/a\tb\n6,x,{URL}\n7,"x'
    )
    assert [(issue.code, issue.row) for issue in surveyed(text, name_column="Name").issues] == [
        ("nul_character", 5),
        ("unknown_column", 1),
        ("invalid_url", 2),
        ("stray_quote", 3),
        ("relative_url", 4),
        ("invalid_url", 5),
        ("invalid_url", 6),
        ("unclosed_quote", 8),
    ]


def test_the_first_hundred_issues_are_kept_and_all_are_counted() -> None:
    found = surveyed(HEADER + "1,a,x\n" * 250 + f"2,b,{URL}\n" * 51)
    assert (found.issue_count, len(found.issues), found.total_rows) == (251, 100, 301)
    assert found.issues[0].code == "too_many_images"


def test_a_missing_column_is_reported_with_the_columns_that_are_there() -> None:
    issue = only_issue("S. No.,Name,Pages\n1,a,https://a.test/1.html\n")
    assert issue.message == (
        "No column of image URLs was found. The file has columns called “S. No.”, “Name”, “Pages”."
        " Send url_columns with the name of the right one, or rename it to “Input Image Urls”."
    )


def test_many_columns_are_not_all_named() -> None:
    issues = surveyed(",".join(f"c{number}" for number in range(25)), CatalogueLimits()).issues
    assert "“c19” and 5 more." in issues[0].message


def test_a_column_has_the_name_that_the_caller_gave() -> None:
    issue = only_issue("s_no;PRODUCT NAME; input image urls \n1;a;x\n")
    assert issue.column == "input image urls"


def test_a_value_is_shortened_to_200_characters() -> None:
    value = only_issue(f"{HEADER}1,a,{'x' * 300}\n").value
    assert value == "x" * 199 + "…"


def test_an_address_that_is_not_allowed_is_reported_with_the_given_reason() -> None:
    def check(url: str) -> str | None:
        return "Ask the operator." if "//10.0.0.1" in url else None

    text = f"{HEADER}1,a,{URL}\n2,b,https://10.0.0.1/x.jpg\n3,c,{URL} http://10.0.0.1:8080?y\n"
    found = validate_file(stream_of(text), LIMITS, check)
    assert [(f.row, f.code, f.message, f.value) for f in found.issues] == [
        (3, "url_not_allowed", "Ask the operator.", "https://10.0.0.1/x.jpg"),
        (4, "url_not_allowed", "Ask the operator.", "http://10.0.0.1:8080?y"),
    ]


def test_the_check_is_asked_once_for_each_origin() -> None:
    asked: list[str] = []
    text = HEADER + "".join(
        f"1,a,https://{host}/{n}.jpg\n"
        for n in range(9)
        for host in ("a.test", "b.test:444", "u:p@c.test")
    )
    validate_file(stream_of(text), LIMITS, asked.append)
    assert asked == ["https://a.test/", "https://b.test:444/", "https://u:p@c.test/"]


def test_limits_may_be_met_exactly() -> None:
    text = "S. No.,Product Name,Input Image Urls,x\n" + f"1,a,{URL},\n" * 3
    assert surveyed(text, CatalogueLimits(max_images=3, max_columns=4)) == Validation(3, 3, (), 0)


def test_a_cell_may_be_as_long_as_the_limit() -> None:
    text = f"{HEADER}1,{'x' * 500_000},{URL}\n"
    assert surveyed(text).issue_count == 0


def test_long_runs_of_separators_are_fast() -> None:
    """Quadratic matching would take minutes here, and the suite would be stopped."""
    text = f'{HEADER}1,a,"x{", " * 65_000}x"\n'
    assert only_issue(text).code == "invalid_url"


def test_every_message_says_what_to_do() -> None:
    assert all(message.endswith((".", "}")) for message in MESSAGES.values())
    assert all(message.count(". ") or "{" in message for message in MESSAGES.values())


PIECES = st.sampled_from(
    [*',;|\t\n\r"\0 =-', "\r\n", '""', "a", "é", "\u2028", URL, "http://", "sep=;"]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


@settings(max_examples=500, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda start, text, encoding: (start + text).encode(encoding),
            st.sampled_from(["", HEADER, f"\n{HEADER}", f"sep=,\r\n{HEADER}"]),
            TEXTS,
            st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
        ),
    )
)
def test_any_file_is_either_rejected_with_its_issues_or_read_and_written(content: bytes) -> None:
    found = surveyed(content)
    if found.issue_count:
        assert all(issue.code in MESSAGES and issue.message for issue in found.issues)
    else:
        assert len(rows_of(content)) == found.total_rows
        assert len(rows_of(written(content))) == found.total_rows
