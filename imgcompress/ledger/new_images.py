"""The images of a new job, by columns: many of them at once, in the order of the uploaded CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# Row numbers, positions, serial numbers, product names, URLs, a row's own options in place of the
# job's, and output names.
ImageColumns = tuple[Sequence[int], Sequence[int], Sequence[str], Sequence[str], Sequence[str],
                     Sequence[dict[str, Any] | None], Sequence[str | None]]
COLUMNS = 7


def regroup(images: Iterable[ImageColumns], size: int) -> Iterator[list[list[Any]]]:
    """Yield the columns of so many images at a time, and of those that are left at the end."""
    held: list[list[Any]] = [[] for _ in range(COLUMNS)]
    for more in images:
        for column, cells in zip(held, more, strict=True):
            column.extend(cells)
        while len(held[0]) >= size:
            yield [column[:size] for column in held]
            held = [column[size:] for column in held]
    if held[0]:
        yield held
