"""Insert the images of a job by the thousand, by long INSERTs on SQLite; Postgres has COPY.

SQLAlchemy's own insert spends several times as long on each row; docs/intake.md has the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from .ids import time_ordered_ids
from .models import CompressedImage
from .new_images import ImageColumns, regroup
from .repeats import Repeats
from .states import ImageStatus
from .types import utcnow

TABLE = CompressedImage.__tablename__
# Below SQLAlchemy nothing else fills in the defaults of the model.
DEFAULTS = {column.name: column.default.arg for column in CompressedImage.__table__.columns
            if isinstance(column.default, ScalarElementColumnDefault)}
SHARED = ("request_id", "created_at", "status", *DEFAULTS)
# What hardly any row has of its own.
SELDOM = ("duplicate_of", "position", "options", "output_name")
OWN = ("image_id", "ordinal", "row_number", "serial_number", "product_name", "input_url")
COLUMNS = (*SHARED, *SELDOM, *OWN)
# A statement for each row costs SQLite twice as much. Other threads go on while one is executed,
# so it should take longer than they may keep the interpreter (5 ms).
STATEMENT_ROWS = 1000

Row = tuple[Any, ...]


class Block(NamedTuple):
    """Many rows: the values of the first of COLUMNS, which all rows share, and the other columns.

    A value that is shared is handed to SQLite once a statement, and made to text once a block.
    """

    shared: Row
    columns: list[Sequence[Any]]


class ImageRows:
    """A job's images as blocks of rows for one database."""

    def __init__(self, dialect: Dialect, request_id: UUID, total_images: int) -> None:
        self.repeated = 0
        self._shared = (_bound(dialect, "request_id", request_id),
                        _bound(dialect, "created_at", utcnow()), ImageStatus.PENDING.value,
                        *DEFAULTS.values())
        self._repeats = Repeats(total_images)

    def blocks(self, images: Iterable[ImageColumns], size: int) -> Iterator[Block]:
        """Yield the rows of all images, so many at a time."""
        first = 0
        for some in regroup(images, size):
            numbers, positions, serials, names, urls, options, output_names = some
            here = range(first, first := first + len(urls))
            keys = urls
            if any(options):
                options = [own and json.dumps(own, sort_keys=True) for own in options]
                keys = [(url, own) if own else url for url, own in zip(urls, options, strict=True)]
            firsts = self._repeats.firsts(keys)
            self.repeated += len(firsts) - firsts.count(None)
            yield self._block([firsts, positions, options, output_names],
                              [time_ordered_ids(len(here)), here, numbers, serials, names, urls])

    def _block(self, seldom: list[Sequence[Any]], own: list[Sequence[Any]]) -> Block:
        if all(column.count(column[0]) == len(column) for column in seldom):
            return Block((*self._shared, *(column[0] for column in seldom)), own)
        return Block(self._shared, seldom + own)


def insert_rows(connection: Connection, block: Block) -> None:
    """Insert a block of rows into a SQLite ledger."""
    shared, columns = block
    rows = zip(*columns, strict=True)
    while some := list(islice(rows, STATEMENT_ROWS)):
        if len(some) == STATEMENT_ROWS:
            values = (*shared, *chain.from_iterable(some))
            connection.exec_driver_sql(_insert(STATEMENT_ROWS, len(shared)), values)
        else:
            connection.exec_driver_sql(_insert(1, len(shared)), [(*shared, *row) for row in some])


@cache
def _insert(rows: int, shared: int) -> str:
    """Return the statement for so many rows, which all name the same shared values."""
    same = ",".join(f"?{place}" for place in range(1, shared + 1))
    row = f"({same}{',?' * (len(COLUMNS) - shared)})"
    return f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES {','.join([row] * rows)}"


def _bound(dialect: Dialect, column: str, value: object) -> Any:
    """Return a value as the driver of this database takes it for a column."""
    process = CompressedImage.__table__.c[column].type.bind_processor(dialect)
    return process(value) if process else value
