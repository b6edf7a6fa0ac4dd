"""Rows of one width, kept by columns, and cut out of a text at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class Grid:
    """Some rows that follow one another, each with one cell in each of the same columns."""

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[list[str]]:
        return map(list, zip(*self.columns, strict=True))

    def __getitem__(self, rows: slice) -> Grid:
        return Grid([column[rows] for column in self.columns])


def cut(text: str, delimiter: str, width: int) -> Grid | None:
    """Return lines of so many cells as a grid; None where one has more or fewer, or marks.

    It finds the same cells as csv, which takes a third longer, and longer still until its rows are
    columns. Of a single cell it makes no grid: there, csv tells an empty line from a row.
    """
    lines = text.count("\n")
    if '"' in text or width < 2 or not lines or text.count(delimiter) != lines * (width - 1):
        return None
    ending = "\r\n" if "\r" in text else "\n"
    if ending == "\r\n" and not text.count(ending) == text.count("\r") == lines:
        return None
    # A line end becomes a cell of its own: in a grid these, and no others, are each where they
    # belong. The last of them is followed by an empty cell.
    cells = text.replace(ending, f"{delimiter}\n{delimiter}").split(delimiter)
    if cells.pop() or cells[width::width + 1].count("\n") != lines:
        return None
    return Grid([cells[place::width + 1] for place in range(width)])
