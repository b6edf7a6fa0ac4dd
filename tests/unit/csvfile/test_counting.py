"""Faults that are only counted are as many as those that would be reported, and cost little."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcompress.csvfile import CatalogueLimits, Validation, Wishes, model, validate_file

from .files import HEADER, allow, stream_of, surveyed

URL = "https://a.test/1.jpg"
OPTIONS = "format,quality,compression_percentage,max_width,max_height,output name"
HEADERS = [
    "S. No.,Product Name,Input Image Urls",
    "Handle,Title,Image Src,Variant Image",
    "S. No.,Input Image Urls,Product Name",
    f"S. No.,Product Name,Input Image Urls,{OPTIONS}",
    "S. No.,Product Name",
    "S. No.,Product Name,Input Image Urls,,",
    "quality,Input Image Urls,S. No.,Product Name,compression_percentage",
]
CELLS = st.sampled_from(
    [
        "",
        " ",
        "1",
        "Lamp",
        URL,
        f" {URL} ",
        "see below",
        "ftp://a.test/1.jpg",
        f"{URL} x",
        f'"{URL},{URL}"',
        f'"{URL}, , {URL} y;https://"',
        f'"{URL}\n{URL}"',
        '" ,;\u200b"',
        "http://",
        "xhttp://a.test",
        "http:/,http://a.test/",
        "https://private.test/1.jpg",
        '"a" b',
        "\u00a0",
        "https://a.test\\1.jpg",
        f"https://a.test/{'x' * 8_200}",
        "webp",
        "gif",
        "80",
        " 96",
        "²",
        "a/b",
        "..",
        "N/A",
        f"{URL}|{URL}",
        f"{URL}<br>{URL}",
        f"{URL}.{URL}",
        "a.jpg",
        "//a.test/1.jpg",
        f"https://x.test/?u={URL}",
        "x" * 151,
        f"{URL};{URL}",
        "\ufeff",
        "HTTPS://a.test:444/é.jpg",
    ]
)
ROWS = st.lists(st.lists(CELLS, max_size=11).map(",".join), max_size=12)


def reject_private(url: str) -> str | None:
    return "Ask the operator." if "private" in url else None


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.sampled_from(HEADERS),
    rows=ROWS,
    columns=st.sampled_from([3, 9, 1_000]),
    skip=st.booleans(),
)
def test_as_many_issues_are_counted_as_would_be_reported(
    monkeypatch: pytest.MonkeyPatch, header: str, rows: list[str], columns: int, skip: bool
) -> None:
    text = "\n".join([header, *rows, ""])
    limits = CatalogueLimits(max_images=10_000, max_columns=columns)
    found = {}
    wishes = Wishes(row_options=True, skip_bad_rows=skip)
    for kept in (0, 1_000_000):
        monkeypatch.setattr(model, "ISSUES_KEPT", kept)
        found[kept] = validate_file(stream_of(text), limits, reject_private, wishes)
    answer = found[1_000_000]
    assert len(answer.issues) == answer.issue_count
    assert found[0] == Validation(answer.total_rows, answer.total_images, (), answer.issue_count)


class Messages(dict[str, str]):
    """Messages that know how often one was asked for."""

    asked = 0

    def __getitem__(self, code: str) -> Any:
        self.asked += 1
        return super().__getitem__(code)


@pytest.mark.parametrize(
    "row",
    [
        "1,a,x",
        "1,a,photo.jpg",
        f"1,a,{URL} x",
        f"1,a,{URL},x y",
        '1,"a"b,c',
        "1,a,http://private.test",
        f'1,a,"{URL} x,{URL} y"',
    ],
)
def test_messages_are_formatted_only_for_reported_issues(
    monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    messages = Messages(model.MESSAGES)
    monkeypatch.setattr(model, "MESSAGES", messages)
    found = validate_file(stream_of(HEADER + f"{row}\n" * 5_000), CatalogueLimits(), reject_private)
    assert (found.issue_count >= 5_000, len(found.issues)) == (True, 100)
    assert messages.asked == 100


def test_the_first_hundred_are_reported_by_row_wherever_they_are() -> None:
    lines = [f"{number},a,{'x' if number % 100 == 0 else URL}" for number in range(30_000)]
    found = surveyed(HEADER + "\n".join(lines), CatalogueLimits())
    assert (found.total_rows, found.total_images, found.issue_count) == (30_000, 30_000, 300)
    assert [issue.row for issue in found.issues] == [2 + 100 * number for number in range(100)]


def test_many_urls_of_a_cell_are_parted_where_they_begin() -> None:
    text = f'{HEADER}1,a,"{URL}{", ;" * 30_000}{URL}"\n'
    assert validate_file(stream_of(text), CatalogueLimits(), allow) == Validation(1, 2, (), 0)
