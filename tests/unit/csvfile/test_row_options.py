"""The optional columns of single rows."""

from __future__ import annotations

from typing import Any

import pytest

from .files import rows_of, surveyed, written

A = "https://a.test/1.jpg"


def table(columns: str, *cells: str) -> str:
    """Return a file with the three columns and others, and a row for each of `cells`."""
    lines = [f"{number},Lamp,{A},{row}" for number, row in enumerate(cells, 1)]
    return "\n".join([f"S. No.,Product Name,Input Image Urls,{columns}", *lines, ""])


def issues_of(content: str) -> list[tuple[int | None, str | None, str, str | None]]:
    return [
        (issue.row, issue.column, issue.code, issue.value)
        for issue in surveyed(content, row_options=True).issues
    ]


@pytest.mark.parametrize(
    "column, cell, options",
    [
        ("format", "webp", {"format": "webp"}),
        ("Format", " JPG ", {"format": "jpeg"}),
        ("Quality", "80", {"quality": 80}),
        ("QUALITY", "95", {"quality": 95}),
        ("Max Width", "800", {"max_width": 800}),
        ("max-height", "65535", {"max_height": 65_535}),
        ("Effort", " High ", {"effort": "high"}),
        ("format", "Auto", {"format": "auto"}),
        ("Formats", '"WebP, jpg,jpeg"', {"formats": "jpeg,webp"}),
        ("Min Score", "70", {"min_score": 70}),
        ("imgcompress metadata", "Rights", {"metadata": "rights"}),
        ("metadata", "none", {"metadata": "none"}),
        ("quality", "", None),
        ("quality", "  ", None),
    ],
)
def test_a_row_may_have_options_of_its_own(
    column: str, cell: str, options: dict[str, Any] | None
) -> None:
    (row,) = rows_of(table(column, cell), row_options=True)
    assert row.options == options


def test_a_percentage_of_a_row_replaces_the_quality_of_the_upload_too() -> None:
    (row,) = rows_of(table("Compression Percentage", "70"), row_options=True)
    assert row.options == {"compression_percentage": 70, "quality": None}


def test_rows_differ_and_empty_cells_ask_for_nothing() -> None:
    text = table("format,quality,max_width", "png,,", ",,", ",60,200", "png,,")
    rows = rows_of(text, row_options=True)
    assert [row.options for row in rows] == [
        {"format": "png"},
        None,
        {"quality": 60, "max_width": 200},
        {"format": "png"},
    ]


def test_a_file_without_such_columns_has_no_options() -> None:
    (row,) = rows_of(table("Colour", "red"), row_options=True)
    assert (row.options, row.output_name) == (None, None)


@pytest.mark.parametrize(
    "cell, name",
    [("front view", "front view"), (" Größe 42 ", "Größe 42"), ("", None), (" ", None)],
)
def test_a_row_may_name_its_files(cell: str, name: str | None) -> None:
    (row,) = rows_of(table("Output Name", cell), row_options=True)
    assert row.output_name == name


@pytest.mark.parametrize(
    "column, cell, code",
    [
        ("Format", "gif", "invalid_format"),
        ("format", "30x40 cm", "invalid_format"),
        ("Quality", "0", "invalid_number"),
        ("quality", "96", "invalid_number"),
        ("quality", "80.5", "invalid_number"),
        ("quality", "²", "invalid_number"),
        ("quality", "-1", "invalid_number"),
        ("quality", "9" * 5_000, "invalid_number"),
        ("compression_percentage", "50%", "invalid_number"),
        ("max_width", "65536", "invalid_number"),
        ("max_height", "wide", "invalid_number"),
        ("effort", "most", "invalid_effort"),
        ("formats", "webp;jpeg", "invalid_formats"),
        ("formats", "keep", "invalid_formats"),
        ("min_score", "100", "invalid_number"),
        ("metadata", "all", "invalid_metadata"),
        ("output name", "a/b", "invalid_output_name"),
        ("output name", "..", "invalid_output_name"),
        ("output name", "a\\b", "invalid_output_name"),
        ("output name", "a\tb", "invalid_output_name"),
        ("output name", "x" * 151, "invalid_output_name"),
    ],
)
def test_a_bad_option_is_reported_by_row_and_column(column: str, cell: str, code: str) -> None:
    value = cell if len(cell) <= 200 else cell[:199] + "…"
    assert issues_of(table(column, "", cell)) == [(3, column, code, value)]


def test_a_row_has_a_quality_or_a_percentage() -> None:
    text = table("quality,compression_percentage", "80,50", "80,", ",50")
    assert issues_of(text) == [(2, "quality", "conflicting_options", "80")]


def test_all_issues_of_a_row_are_reported() -> None:
    text = f"S. No.,Product Name,Input Image Urls,format,quality,output name\n1,a,{A} x,tiff,0,/\n"
    assert [(column, code) for _, column, code, _ in issues_of(text)] == [
        ("Input Image Urls", "invalid_url"),
        ("format", "invalid_format"),
        ("quality", "invalid_number"),
        ("output name", "invalid_output_name"),
    ]


def test_an_option_column_may_not_be_there_twice() -> None:
    assert issues_of(table("Quality,quality", "1,2")) == [
        (1, "quality", "duplicate_column", "quality")
    ]


def test_the_advice_says_what_to_write() -> None:
    (issue,) = surveyed(table("Format", "tiff"), row_options=True).issues
    assert issue.message == (
        "This is not an image format. Enter one of “keep”, “auto”, “jpeg”, “png”, “webp”, “avif”,"
        " leave the cell empty, or rename the column if it means something else."
    )


def test_spilled_urls_pass_over_option_columns() -> None:
    (row,) = rows_of(table("quality", f"80,{A}"), row_options=True)
    assert (row.urls, row.options) == ((A, A), {"quality": 80})


def test_the_output_keeps_option_columns() -> None:
    assert written(table("quality", "80")).decode().splitlines()[1] == f"1,Lamp,{A},80,,"


@pytest.mark.parametrize(
    "column, cell, options",
    [
        ("imgcompress format", "webp", {"format": "webp"}),
        ("Imgcompress_Max-Width", "800", {"max_width": 800}),
    ],
)
def test_a_column_with_the_prefix_is_always_an_option(
    column: str, cell: str, options: dict[str, Any]
) -> None:
    (row,) = rows_of(table(column, cell))
    assert row.options == options


@pytest.mark.parametrize(
    "column, cell",
    [
        ("Format", "Paperback"),
        ("Format", "webp"),
        ("Max Width", "90"),
        ("Quality", "A+"),
        ("Quality", "5"),
    ],
)
def test_a_column_of_the_catalogue_never_steers_the_codec_by_accident(
    column: str, cell: str
) -> None:
    (row,) = rows_of(table(column, cell))
    assert row.options is None


@pytest.mark.parametrize(
    "columns, cells, warned",
    [
        ("Format", "webp", ["“Format”"]),
        ("Format", "Paperback", []),
        ("Max Width", "800", ["“Max"]),
        ("imgcompress format", "webp", []),
        ("Colour", "red", []),
    ],
)
def test_a_column_that_resembles_an_option_gives_a_warning(
    columns: str, cells: str, warned: list[str]
) -> None:
    warnings = surveyed(table(columns, cells)).warnings
    assert [warning.code for warning in warnings] == ["unread_options"] * len(warned)
    assert all(name in warning.message for name, warning in zip(warned, warnings, strict=True))
    assert surveyed(table("format", "webp"), row_options=True).warnings == ()


def test_a_column_with_the_prefix_goes_before_a_bare_one() -> None:
    text = table("format,imgcompress format", "png,webp")
    with_both = surveyed(text, row_options=True)
    assert with_both.issue_count == 0
    (row,) = rows_of(text, row_options=True)
    assert row.options == {"format": "webp"}
