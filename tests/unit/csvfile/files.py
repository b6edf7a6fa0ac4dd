"""What the tests of the catalogue share: files from text, and short ways to read them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, NamedTuple

from imgcompress.csvfile import (
    CatalogueLimits,
    Issue,
    Validation,
    Wishes,
    kept_layout,
    read_images,
    validate_file,
)
from imgcompress.csvfile.layout import Layout
from imgcompress.csvfile.model import CatalogueRow
from imgcompress.csvfile.rows import CatalogueRows
from imgcompress.csvfile.sniff import open_good_layout
from imgcompress.csvfile.writer import write_catalogue

HEADER = "S. No.,Product Name,Input Image Urls\n"
LIMITS = CatalogueLimits(max_images=50, max_columns=20)


class Outcome(NamedTuple):
    """The result of an image, as the ledger has it."""

    row_number: int
    position: int
    output_url: str | None
    error: str | None
    change: str | None = None
    score: str | None = None
    advice: str | None = None


def stream_of(content: str | bytes) -> io.BytesIO:
    return io.BytesIO(content.encode() if isinstance(content, str) else content)


def allow(url: str) -> str | None:
    return None


def surveyed(content: str | bytes, limits: CatalogueLimits = LIMITS, **wishes: Any) -> Validation:
    return validate_file(stream_of(content), limits, allow, Wishes(**wishes))


def only_issue(content: str | bytes, **wishes: Any) -> Issue:
    (issue,) = surveyed(content, **wishes).issues
    return issue


def read_rows(content: str | bytes, layout: Layout | None = None) -> list[CatalogueRow]:
    """Read the rows of a file one by one."""
    stream = stream_of(content)
    reader = CatalogueRows(layout or open_good_layout(stream))
    return [row for first, run in reader.runs(stream) for row in reader.of_run(first, run)]


def rows_of(content: str | bytes, **wishes: Any) -> list[CatalogueRow]:
    """Read a file that a survey finds good, and check that both count the same."""
    found = surveyed(content, **wishes)
    rows = read_rows(content, found.layout)
    read = found.total_rows - found.skipped_rows
    assert replace(found, total_rows=read) == Validation(
        len(rows), sum(len(row.urls) for row in rows), (), 0
    )
    batches = read_images(stream_of(content), LIMITS, found.layout)
    urls = [url for images in batches for url in images[4]]
    assert urls == [url for row in rows for url in row.urls]
    return rows


def products_of(content: str | bytes) -> list[tuple[int, str, str, tuple[str, ...]]]:
    return [(row.number, row.serial_number, row.product_name, row.urls) for row in rows_of(content)]


def urls_of(content: str | bytes, **wishes: Any) -> list[tuple[str, ...]]:
    return [row.urls for row in rows_of(content, **wishes)]


def written(content: str | bytes, *outcomes: Outcome, **wishes: Any) -> bytes:
    layout = surveyed(content, **wishes).layout
    kept = kept_layout(layout) if layout and layout.chosen else None
    return b"".join(write_catalogue(stream_of(content), outcomes, kept=kept))
