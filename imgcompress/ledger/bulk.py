"""Insert many images fast: ids, duplicates, and the best batches for each database.

SQLAlchemy's own insert spends several times as long on each row; docs/intake.md has the numbers.
"""

from __future__ import annotations

import json
import os
import time
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from itertools import chain, islice
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from ..catalogue import ImageColumns
from .models import CompressedImage, ImageStatus, utcnow

# Maps of a random byte to one that includes a UUID's version, 7, or its variant.
_VERSION = bytes(0x70 | byte & 0x0F for byte in range(256))
_VARIANT = bytes(0x80 | byte & 0x3F for byte in range(256))


def time_ordered_ids(count: int) -> list[str]:
    """Return ascending UUIDs of version 7 (RFC 9562) as 32 hexadecimal digits.

    They are appended to the end of the index, while random ids would be scattered all over it. 74
    of their bits are random, so nobody can guess one from another.
    """
    ids = bytearray(os.urandom(16 * count))
    for place, byte in enumerate((time.time_ns() // 1_000_000).to_bytes(6, "big")):
        ids[place::16] = bytes([byte]) * count
    ids[6::16] = ids[6::16].translate(_VERSION)
    ids[8::16] = ids[8::16].translate(_VARIANT)
    return sorted(ids.hex(" ", 16).split())


Item = TypeVar("Item")

# A writer that finds SQLite locked retries every 0.1 s, and may miss shorter pauses repeatedly (2 s
# measured). One pause a second costs a job of a million images a tenth of its time.
TURN_SECONDS = 1.0
PAUSE_SECONDS = 0.1


def yield_write_lock(parts: Iterator[Item]) -> Iterator[Item]:
    """Yield parts, each for a transaction, and pause regularly to let other writers in."""
    pause_at = monotonic() + TURN_SECONDS
    for part in parts:
        if monotonic() > pause_at:
            sleep(PAUSE_SECONDS)
            pause_at = monotonic() + TURN_SECONDS
        yield part


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items of a source; a thread fetches each one while the item before is in use.

    This saves time if the caller waits for a disk, or for a database driver that releases the GIL.
    An error of the source is raised in place of the item.
    """
    context = copy_context()

    def take() -> Item | None:
        return context.run(lambda: next(items, None))

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(take)
        while (item := coming.result()) is not None:
            coming = thread.submit(take)
            yield item


NUMBER_OF_COLUMNS = 7


def regroup(images: Iterable[ImageColumns], size: int) -> Iterator[list[list[Any]]]:
    """Yield the columns of `size` images at a time; the last batch may have fewer."""
    held: list[list[Any]] = [[] for _ in range(NUMBER_OF_COLUMNS)]
    for more in images:
        for column, cells in zip(held, more, strict=True):
            column.extend(cells)
        while len(held[0]) >= size:
            yield [column[:size] for column in held]
            held = [column[size:] for column in held]
    if held[0]:
        yield held


# An entry has a part of a hash in the high bits, and the ordinal of an image, counted from 1, in
# the low bits.
_ORDINAL_BITS = 32
_ORDINAL = (1 << _ORDINAL_BITS) - 1
_HASH = _ORDINAL << _ORDINAL_BITS


class Deduplicator:
    """The images of a job so far, by hash: 16 to 32 bytes for each image of the job.

    About one pair of keys in thousands of millions shares a hash, so callers must verify what is
    found.
    """

    def __init__(self, images: int) -> None:
        # At most half full, so that an entry is found at the second probe.
        self._mask = (2 << max(images, 1).bit_length()) - 1
        self._entries = array("Q", bytes(8 * (self._mask + 1)))
        self._images = 0

    def firsts(self, keys: Iterable[Hashable]) -> list[int | None]:
        """Return for each of the next images the ordinal of the first with its key, or None."""
        entries, mask = self._entries, self._mask
        found: list[int | None] = []
        number = self._images
        for number, hashed in enumerate(map(hash, keys), self._images + 1):
            place = hashed & mask
            while (entry := entries[place]) and (entry ^ hashed) & _HASH:
                place = (place + 1) & mask
            if entry:
                found.append((entry & _ORDINAL) - 1)
            else:
                entries[place] = hashed & _HASH | number
                found.append(None)
        self._images = number
        return found

    def find(self, keys: Iterable[Hashable]) -> list[int | None]:
        """Return for each key the ordinal of the first image with it, or None; add nothing."""
        entries, mask = self._entries, self._mask
        found: list[int | None] = []
        for hashed in map(hash, keys):
            place = hashed & mask
            while (entry := entries[place]) and (entry ^ hashed) & _HASH:
                place = (place + 1) & mask
            found.append((entry & _ORDINAL) - 1 if entry else None)
        return found


TABLE = CompressedImage.__tablename__
# These inserts bypass SQLAlchemy, so the defaults of the model are filled in here.
DEFAULTS = {
    column.name: column.default.arg
    for column in CompressedImage.__table__.columns
    if isinstance(column.default, ScalarElementColumnDefault)
}
SHARED = ("request_id", "created_at", "status", *DEFAULTS)
# Columns that few rows set.
SELDOM = ("duplicate_of", "earlier", "position", "options", "output_name")
OWN = ("image_id", "ordinal", "row_number", "serial_number", "product_name", "input_url")
IMAGE_COLUMNS = (*SHARED, *SELDOM, *OWN)
# A statement for each row costs SQLite twice as much. Other threads run while a statement is
# executed, so it should take longer than the time they may hold the interpreter (5 ms).
STATEMENT_ROWS = 1000

Row = tuple[Any, ...]
# Maps the keys of images to their ordinals in an earlier job, or None.
FindEarlier = Callable[[Sequence[Hashable]], Sequence[int | None]]


class Block(NamedTuple):
    """Many rows: the values of the first of COLUMNS, which all rows share, and the other columns.

    A shared value is passed to SQLite once per statement, and converted to text once per block.
    """

    shared: Row
    columns: list[Sequence[Any]]


class ImageRows:
    """A job's images as blocks of rows for one database."""

    def __init__(
        self,
        dialect: Dialect,
        request_id: UUID,
        total_images: int,
        find_earlier: FindEarlier | None = None,
    ) -> None:
        self.repeated = 0
        self._find_earlier = find_earlier or (lambda keys: [None] * len(keys))
        self._shared = (
            _bound(dialect, "request_id", request_id),
            _bound(dialect, "created_at", utcnow()),
            ImageStatus.PENDING.value,
            *DEFAULTS.values(),
        )
        self._repeats = Deduplicator(total_images)

    def blocks(self, images: Iterable[ImageColumns], size: int) -> Iterator[Block]:
        """Yield the rows of all images, `size` at a time."""
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
            # A value shared by most images, and one for each image.
            seldom = [firsts, self._find_earlier(keys), positions, options, output_names]
            own = [time_ordered_ids(len(here)), here, numbers, serials, names, urls]
            if all(column.count(column[0]) == len(column) for column in seldom):
                yield Block((*self._shared, *(column[0] for column in seldom)), own)
            else:
                yield Block(self._shared, seldom + own)


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
    """Return the INSERT for this number of rows, which share the same values."""
    same = ",".join(f"?{place}" for place in range(1, shared + 1))
    row = f"({same}{',?' * (len(IMAGE_COLUMNS) - shared)})"
    return f"INSERT INTO {TABLE} ({', '.join(IMAGE_COLUMNS)}) VALUES {','.join([row] * rows)}"


def _bound(dialect: Dialect, column: str, value: object) -> Any:
    """Return a value in the form that this database's driver expects for a column."""
    process = CompressedImage.__table__.c[column].type.bind_processor(dialect)
    return process(value) if process else value


BLOCK_ROWS = 1000
# Separators that almost no text contains, so that few blocks need quoting. An empty cell is NULL,
# unless its column is NOT NULL.
QUOTE = "\x01"
_COPY = (
    f"COPY {TABLE} ({', '.join(IMAGE_COLUMNS)}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8',"
    f" DELIMITER E'\\t', QUOTE '{QUOTE}',"
    " FORCE_NOT_NULL (serial_number, product_name, input_url))"
)


def copy_rows(connection: Connection, rows: ImageRows, images: Iterable[ImageColumns]) -> None:
    """Copy a job's images into a Postgres ledger as a stream."""
    source = _CopySource(rows.blocks(images, BLOCK_ROWS))
    try:
        cursor: Any = connection.connection.cursor()
        with cursor:
            cursor.copy_expert(_COPY, source)
    except Exception as error:
        if source.error is None:
            raise
        # An error raised by the rows arrives as a cancelled query.
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
    # Written out: this takes half the time of a general way to join cells.
    return "".join(
        [
            f"{head}\t{a}\t{b}\t{c}\t{d}\t{e}\t{f}\n"
            for head, a, b, c, d, e, f in zip(
                heads or [shared] * len(urls),
                ids,
                ordinals,
                numbers,
                serials,
                names,
                urls,
                strict=True,
            )
        ]
    )


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"{QUOTE}{text.replace(QUOTE, 2 * QUOTE)}{QUOTE}" if _is_odd(text) else text


def _is_odd(text: str) -> bool:
    return "\t" in text or "\n" in text or "\r" in text or QUOTE in text
