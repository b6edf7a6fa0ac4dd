"""The images of a new job: what each of them is, and how many of them are handed on at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

# The fields of many a NewImage, each field by itself.
ImageColumns = tuple[Sequence[int], Sequence[int], Sequence[str], Sequence[str], Sequence[str],
                     Sequence[dict[str, Any] | None], Sequence[str | None]]


class NewImage(NamedTuple):
    """One image URL of the uploaded CSV, in the order of the file.

    `options` are those of its row in place of the job's, and `output_name` is the row's too.
    """

    row_number: int
    position: int
    serial_number: str
    product_name: str
    input_url: str
    options: dict[str, Any] | None = None
    output_name: str | None = None


def by_columns(images: Iterable[NewImage], at_once: int = 1) -> Iterator[ImageColumns]:
    """Yield images that come one by one by columns, so many at a time."""
    rest = iter(images)
    while some := list(islice(rest, at_once)):
        numbers, positions, serials, names, urls, options, output_names = zip(*some, strict=True)
        yield numbers, positions, serials, names, urls, options, output_names


def regroup(images: Iterable[ImageColumns], size: int) -> Iterator[list[list[Any]]]:
    """Yield the columns of so many images at a time, and of those that are left at the end."""
    held: list[list[Any]] = [[] for _ in NewImage._fields]
    for more in images:
        for column, cells in zip(held, more, strict=True):
            column.extend(cells)
        while len(held[0]) >= size:
            yield [column[:size] for column in held]
            held = [column[size:] for column in held]
    if held[0]:
        yield held
