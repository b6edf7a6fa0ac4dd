"""Images of a new job one by one, as tests write them, and as the ledger takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from imgcompress.catalogue import ImageColumns


class NewImage(NamedTuple):
    """One image URL of a CSV."""

    row_number: int
    position: int
    serial_number: str
    product_name: str
    input_url: str
    options: dict[str, Any] | None = None
    output_name: str | None = None


def by_columns(images: Iterable[NewImage], at_once: int = 1) -> Iterator[ImageColumns]:
    """Yield images by columns, some at a time."""
    rest = iter(images)
    while some := list(islice(rest, at_once)):
        numbers, positions, serials, names, urls, options, output_names = zip(*some, strict=True)
        yield numbers, positions, serials, names, urls, options, output_names
