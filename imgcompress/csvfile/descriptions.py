"""A row below the header that is not a product: units, types, or column descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .layout import Layout
from .parser import has_text
from .url_cells import NO_IMAGE

# A host, a path or a file name.
_ADDRESS = re.compile(r"\S[./\\]\S")
_NUMBER = re.compile(r"[^\w.,]*\d[\d.,]*(?:\s*\S{1,4})?", re.ASCII)
_WORDS = re.compile(r"\w+")
# The only words with which such a row describes a column of images.
_VOCABULARY = frozenset(
    "url urls uri link links http https address text string str varchar char type format image"
    " images img photo photos picture pictures bild bilder foto fotos file files media main other"
    " additional required optional recommended preferred pflicht pflichtfeld muss kann".split()
)


def is_description(layout: Layout, row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row under the header describes the columns; `below` are others.

    It has no URL or file name where other rows have some. Instead it has words such as
    `URL` or `required`, or it has texts in columns of numbers. A product without an image, or with
    a wrong one, is none.
    """
    texts = [text for text in _image_cells(layout, row) if text.casefold() not in NO_IMAGE]
    if not texts or any(map(_ADDRESS.search, texts)):
        return False
    others = [cells for cells in below if has_text(cells)]
    if not any(_ADDRESS.search(text) for cells in others for text in _image_cells(layout, cells)):
        return False
    if all(set(_WORDS.findall(text.casefold())) <= _VOCABULARY for text in texts):
        return True
    numeric = [
        place
        for place in range(len(row))
        if row[place].strip() and _is_numeric(cells[place : place + 1] for cells in others)
    ]
    return bool(numeric) and not any(_NUMBER.fullmatch(row[place].strip()) for place in numeric)


def _image_cells(layout: Layout, row: Sequence[str]) -> list[str]:
    return [
        row[place].strip()
        for place in layout.url_places
        if place < len(row) and not row[place].isspace() and row[place]
    ]


def _is_numeric(cells: Iterable[Sequence[str]]) -> bool:
    """Return whether a column has two or more numbers and no other text."""
    texts = [cell[0].strip() for cell in cells if cell and cell[0].strip()]
    return len(texts) > 1 and all(map(_NUMBER.fullmatch, texts))
