"""Insert the images of a job by the million: COPY on Postgres, long INSERTs on SQLite.

SQLAlchemy's own insert spends several times as long on each row; docs/intake.md has the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, count, islice
from typing import Any, NamedTuple
from uuid import UUID

import psycopg2
from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from ..errors import LedgerUnavailable
from .ids import time_ordered_ids
from .models import CompressedImage
from .repeats import Repeats
from .states import ImageStatus
from .types import utcnow

TABLE = CompressedImage.__tablename__
# Below SQLAlchemy nothing else fills in the defaults of the model.
DEFAULTS = {column.name: column.default.arg for column in CompressedImage.__table__.columns
            if isinstance(column.default, ScalarElementColumnDefault)}
SHARED = ("request_id", "created_at", "status", *DEFAULTS)
OWN = ("image_id", "ordinal", "duplicate_of", "row_number", "position", "serial_number",
       "product_name", "input_url", "options", "output_name")
COLUMNS = (*SHARED, *OWN)
# Those of OWN that hold what the caller wrote.
TEXTS = slice(5, 10)
BLOCK_ROWS = 1000
# A statement for each row costs SQLite twice as much. Other threads go on while one is executed,
# so it should take longer than they may keep the interpreter (5 ms).
STATEMENT_ROWS = 1000

# Marks that hardly any text has, so that hardly any block of rows needs quoting. An empty cell is
# a NULL, unless its column may not be one.
QUOTE = "\x01"
_COPY = (f"COPY {TABLE} ({', '.join(COLUMNS)}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8',"
         f" DELIMITER E'\\t', QUOTE '{QUOTE}',"
         " FORCE_NOT_NULL (serial_number, product_name, input_url))")
_NULL = {"postgresql": ""}

Row = tuple[Any, ...]
# Many rows of OWN, by its columns.
Block = list[Sequence[Any]]


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


# A named tuple is one of these; where there are a million, a plain one is made in half the time.
ImageValues = tuple[int, int, str, str, str, dict[str, Any] | None, str | None]


class ImageRows:
    """A job's images as blocks of rows, and the values that they share, for one database."""

    def __init__(self, dialect: Dialect, request_id: UUID, total_images: int) -> None:
        self.shared = (_bound(dialect, "request_id", request_id),
                       _bound(dialect, "created_at", utcnow()), ImageStatus.PENDING.value,
                       *DEFAULTS.values())
        self.repeated = 0
        self._repeats = Repeats(total_images)
        self._null = _NULL.get(dialect.name)

    def blocks(self, images: Iterable[ImageValues], size: int) -> Iterator[Block]:
        """Yield the rows of all images, so many at a time."""
        ordinals = count()
        rest = iter(images)
        while some := list(islice(rest, size)):
            *columns, urls, options, names = zip(*some, strict=True)
            if any(options):
                options = tuple(own and json.dumps(own, sort_keys=True) for own in options)
            firsts = self._repeats.firsts(zip(urls, options, strict=True))
            self.repeated += len(some) - firsts.count(None)
            yield [time_ordered_ids(len(some)), list(islice(ordinals, len(some))),
                   self._told(firsts), *columns, urls, self._told(options), self._told(names)]

    def _told(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return values with what this database takes for NULL in the place of None."""
        if self._null is None:
            return values
        return [self._null if value is None else value for value in values]


def insert_rows(connection: Connection, shared: Row, block: Block) -> None:
    """Insert a block of rows into a SQLite ledger."""
    rows = zip(*block, strict=True)
    while some := list(islice(rows, STATEMENT_ROWS)):
        if len(some) == STATEMENT_ROWS:
            values = (*shared, *chain.from_iterable(some))
            connection.exec_driver_sql(_insert(STATEMENT_ROWS), values)
        else:
            connection.exec_driver_sql(_insert(1), [(*shared, *row) for row in some])


@cache
def _insert(rows: int) -> str:
    """Return the statement for so many rows, which all name the same shared values."""
    shared = ",".join(f"?{place}" for place in range(1, len(SHARED) + 1))
    row = f"({shared}{',?' * len(OWN)})"
    return f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES {','.join([row] * rows)}"


def copy_rows(connection: Connection, rows: ImageRows, images: Iterable[ImageValues]) -> None:
    """Copy a job's images into a Postgres ledger, as they come."""
    source = _CopySource(rows.shared, rows.blocks(images, BLOCK_ROWS))
    try:
        cursor: Any = connection.connection.cursor()
        with cursor:
            cursor.copy_expert(_COPY, source)
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        # What the rows themselves raised comes back as a cancelled query.
        raise source.error or LedgerUnavailable(detail=str(error)) from error


class _CopySource:
    """The file that COPY reads from: rows as CSV, a block at a time."""

    def __init__(self, shared: Row, blocks: Iterator[Block]) -> None:
        self._shared = "\t".join(map(str, shared))
        self._blocks = blocks
        self.error: Exception | None = None

    def read(self, _size: int) -> bytes:
        """Return the next block, of any size, and nothing at the end."""
        try:
            block = next(self._blocks, None)
        except Exception as error:
            self.error = error
            raise
        return self._text(block).encode() if block else b""

    def _text(self, block: Block) -> str:
        if _is_odd("".join(chain.from_iterable(block[TEXTS]))):
            block[TEXTS] = [[_quoted(cell) for cell in column] for column in block[TEXTS]]
        shared = self._shared
        # Written out, since this takes half the time of every general way to join ten cells.
        return "".join([
            f"{shared}\t{a}\t{b}\t{c}\t{d}\t{e}\t{f}\t{g}\t{h}\t{i}\t{j}\n"
            for a, b, c, d, e, f, g, h, i, j in zip(*block, strict=True)])


def _is_odd(text: str) -> bool:
    return "\t" in text or "\n" in text or "\r" in text or QUOTE in text


def _quoted(cell: str) -> str:
    return f"{QUOTE}{cell.replace(QUOTE, 2 * QUOTE)}{QUOTE}" if _is_odd(cell) else cell


def _bound(dialect: Dialect, column: str, value: object) -> Any:
    """Return a value as the driver of this database takes it for a column."""
    process = CompressedImage.__table__.c[column].type.bind_processor(dialect)
    return process(value) if process else value
