"""Insert the images of a job into a Postgres ledger by one COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from .bulk_insert import COLUMNS, TABLE, Block, ImageRows
from .new_images import ImageColumns

BLOCK_ROWS = 1000
# Marks that hardly any text has, so that hardly any block of rows needs quoting. An empty cell is
# a NULL, unless its column may not be one.
QUOTE = "\x01"
_COPY = (f"COPY {TABLE} ({', '.join(COLUMNS)}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8',"
         f" DELIMITER E'\\t', QUOTE '{QUOTE}',"
         " FORCE_NOT_NULL (serial_number, product_name, input_url))")


def copy_rows(connection: Connection, rows: ImageRows, images: Iterable[ImageColumns]) -> None:
    """Copy a job's images into a Postgres ledger, as they come."""
    source = _CopySource(rows.blocks(images, BLOCK_ROWS))
    try:
        cursor: Any = connection.connection.cursor()
        with cursor:
            cursor.copy_expert(_COPY, source)
    except Exception as error:
        if source.error is None:
            raise
        # What the rows themselves raised comes back as a cancelled query.
        raise source.error from error


class _CopySource:
    """The file that COPY reads from: rows as CSV, a block at a time."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self.error: Exception | None = None

    def read(self, _size: int) -> bytes:
        """Return the next block, of any size, and nothing at the end."""
        try:
            block = next(self._blocks, None)
        except Exception as error:
            self.error = error
            raise
        return _text(block).encode() if block else b""


def _text(block: Block) -> str:
    shared = "\t".join(map(_cell, block.shared))
    *seldom, ids, ordinals, numbers, serials, names, urls = block.columns
    heads = ["\t".join([shared, *map(_cell, row)]) for row in zip(*seldom, strict=True)]
    if _is_odd("".join(chain(serials, names, urls))):
        serials, names, urls = ([*map(_cell, column)] for column in (serials, names, urls))
    # Written out, since this takes half the time of every general way to join cells.
    return "".join([
        f"{head}\t{a}\t{b}\t{c}\t{d}\t{e}\t{f}\n"
        for head, a, b, c, d, e, f in zip(heads or [shared] * len(urls), ids, ordinals, numbers,
                                          serials, names, urls, strict=True)])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"{QUOTE}{text.replace(QUOTE, 2 * QUOTE)}{QUOTE}" if _is_odd(text) else text


def _is_odd(text: str) -> bool:
    return "\t" in text or "\n" in text or "\r" in text or QUOTE in text
