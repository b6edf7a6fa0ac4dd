"""A text is cut into columns only where csv would find the same cells."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.csvfile.parser import parse_columns


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_of_one_width_become_columns(ending: str) -> None:
    grid = parse_columns(f"1;a b;{ending}2; \u2028,;x{ending}", ";", 3)
    assert grid is not None
    assert grid.columns == [["1", "2"], ["a b", " \u2028,"], ["", "x"]]
    assert (len(grid), list(grid), list(grid[1:])) == (
        2,
        [["1", "a b", ""], ["2", " \u2028,", "x"]],
        [["2", " \u2028,", "x"]],
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,a",
        "1,a\n2,b",
        '1,"a"\n',
        "1,a,x\n2\n",
        "1\n2,a,x\n",
        "1,a\n\n2,b,\n",
        "1,a\r\n2,b\n",
        "1,a\r2,b\n",
        "1,a\r2\r\n",
        "1,a\n\r2,b\n",
        "1,a\r\r\n",
    ],
)
def test_other_texts_are_left_to_csv(text: str) -> None:
    assert parse_columns(text, ",", 2) is None


def test_an_empty_line_is_no_row_of_one_cell() -> None:
    assert parse_columns("a\n\nb\n", ",", 1) is None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "", " ", ",", "\n", "\r", "\r\n", '"']), max_size=20),
    st.integers(0, 4),
)
def test_columns_agree_with_the_csv_module(parts: list[str], width: int) -> None:
    text = "".join([*parts, "\n"])
    grid = parse_columns(text, ",", width)
    if grid is not None:
        assert list(grid) == list(csv.reader(io.StringIO(text, newline="")))
