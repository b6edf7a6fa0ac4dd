"""The first rows of a table as they are read, to check the columns before a job starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from .layout import HEADER_SEARCHED_ROWS, Layout
from .model import shortened
from .parser import BrokenRecord, has_text
from .sniff import open_sample

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 1_000
PREVIEW_IMAGES = 10


@dataclass(frozen=True)
class PreviewRow:
    """One row: its number in a spreadsheet, its cells, and the URLs that are read from it."""

    row: int
    cells: list[str]
    images: list[str]


@dataclass(frozen=True)
class Preview:
    """The header, the columns that hold image URLs, and the first rows that are not blank.

    Texts are shortened to 200 characters, columns to PREVIEW_COLUMNS and the URLs of a row to
    PREVIEW_IMAGES.
    """

    header_row: int
    header: list[str]
    image_columns: list[str]
    rows: list[PreviewRow]


def read_preview(stream: BinaryIO, layout: Layout) -> Preview:
    """Return the first rows of a seekable file by its layout, whether or not columns were found."""
    sample = open_sample(stream, layout)
    return Preview(
        layout.header_row,
        [shortened(title.strip()) for title in layout.header[:PREVIEW_COLUMNS]],
        [
            shortened(layout.title(place) or "")
            for place in sample.image_columns()
            if place < PREVIEW_COLUMNS
        ],
        list(islice(_rows(stream, layout), PREVIEW_ROWS)),
    )


def _rows(stream: BinaryIO, layout: Layout) -> Iterator[PreviewRow]:
    records = islice(layout.format.records(stream), layout.last_title_row + HEADER_SEARCHED_ROWS)
    for number, cells in records:
        if (
            number > layout.last_title_row
            and not isinstance(cells, BrokenRecord)
            and has_text(cells)
        ):
            row = layout.lined_up(cells)
            yield PreviewRow(
                number,
                [shortened(cell) for cell in row[:PREVIEW_COLUMNS]],
                [shortened(url) for url in layout.urls(row)[:PREVIEW_IMAGES]],
            )
