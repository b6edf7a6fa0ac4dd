"""Which cells could run as a formula, over all of Unicode."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcompress.csvfile.writer import escape_formulas

# DerivedCoreProperties.txt, Default_Ignorable_Code_Point, which Python's unicodedata leaves out.
DEFAULT_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def is_invisible(char: str) -> bool:
    return (
        char.isspace()
        or unicodedata.category(char) in ("Cc", "Cf", "Zs", "Zl", "Zp")
        or DEFAULT_IGNORABLE.match(char) is not None
    )


@pytest.fixture(scope="module")
def characters() -> list[str]:
    """Return all of Unicode."""
    return [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


@pytest.fixture(scope="module")
def invisible(characters: list[str]) -> list[str]:
    """Return what a spreadsheet passes over."""
    return list(filter(is_invisible, characters))


@pytest.fixture(scope="module")
def signs(characters: list[str]) -> list[str]:
    """Return what a formula may begin with."""
    return [char for char in characters if unicodedata.normalize("NFKC", char)[0] in "=+-@"]


def untouched(cells: list[str]) -> list[str]:
    return [
        before
        for before, after in zip(cells, escape_formulas(cells), strict=True)
        if before == after
    ]


def test_characters_that_a_spreadsheet_ignores_hide_no_formula(
    signs: list[str], invisible: list[str]
) -> None:
    for sign in signs:
        assert untouched([f"{sign}A1", *(f"{char}{sign}A1" for char in invisible)]) == []
        assert untouched([f" {char}\u2060{sign}A1" for char in invisible]) == []


def test_a_cell_that_begins_with_any_other_character_stays_as_it_is(
    characters: list[str], signs: list[str], invisible: list[str]
) -> None:
    # A later version of Unicode may make anything of what is unassigned.
    others = [
        char
        for char in sorted(set(characters) - set(invisible) - set(signs))
        if unicodedata.category(char) != "Cn"
    ]
    cells = [f"{char}=A1" for char in others]
    assert escape_formulas(cells) == cells


@given(start=st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=8), data=st.data())
def test_a_formula_is_found_behind_invisible_characters_only(
    signs: list[str], start: str, data: st.DataObject
) -> None:
    cell = f"{start}{data.draw(st.sampled_from(signs))}A1"
    seen = [char for char in cell if not is_invisible(char)]
    expected = f"'{cell}" if seen[0] in signs or cell[0] in "\t\r\n" else cell
    assert escape_formulas([cell]) == [expected]


def test_a_cell_of_invisible_characters_is_fast() -> None:
    cell = "\u00ad" * 131_072
    assert escape_formulas([cell, f"{cell}="]) == [cell, f"'{cell}="]
