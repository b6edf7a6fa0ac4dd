"""How well this process reaches its database: one that hardly does may be cut off from all else."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import LedgerUnavailable

# A transaction takes milliseconds; one that takes as long has met a way that is down or very slow.
SLOW_SECONDS = 5.0
# What PostgreSQL says while it cannot do its work, by SQLSTATE: connections and logins that fail,
# what was rolled back for others' sake, no room, a shutdown or a start, faults of the system; and
# one by one: read-only (a standby, a full disk), no database of this name, a transaction that it
# gave up, rights that were taken away (some hosters do so when the disk is full), locks, and a
# table that is not there yet, since nobody has brought the schema up to date.
AWAY_CLASSES = frozenset({"08", "28", "40", "53", "57", "58"})
READ_ONLY = "25006"
AWAY_STATES = frozenset({READ_ONLY, "3D000", "25P03", "25P04", "42501", "42P01", "55006",
                         "55P03"})
# What SQLite says: no right to the file, busy, locked, no memory, read-only, interrupted, a fault
# of the disk, full, not to be opened, another process holds the lock for too long.
AWAY_RESULTS = frozenset({3, 5, 6, 7, 8, 9, 10, 13, 14, 15})

_met_trouble_at = -math.inf


@contextmanager
def watched() -> Iterator[None]:
    """Note when the database cannot be used, or takes very long.

    Whatever the database or its driver says to that effect becomes LedgerUnavailable.
    """
    began = time.monotonic()
    try:
        yield
    except LedgerUnavailable:
        _note_trouble()
        raise
    except Exception as error:
        if not tells_away(error):
            raise
        _note_trouble()
        raise LedgerUnavailable(detail=str(error)) from error
    finally:
        if time.monotonic() - began > SLOW_SECONDS:
            _note_trouble()


def tells_away(error: BaseException) -> bool:
    """Tell whether an error says that the database cannot be used at the moment.

    It may come from SQLAlchemy, or from the driver itself, as where a connection is given back.
    """
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None and tells_away(error.orig))
    driver = type(error).__module__.partition(".")[0]
    if driver == "sqlite3":
        # The low byte is the kind. What the driver itself finds, such as a text that is not UTF-8,
        # has no code.
        return (getattr(error, "sqlite_errorcode", 0) & 0xFF in AWAY_RESULTS
                or str(error).startswith("no such table"))
    if driver != "psycopg2":
        return False
    state: str | None = getattr(error, "pgcode", None)
    if state is None:
        # Nobody answered.
        return type(error).__name__ in ("OperationalError", "InterfaceError", "DatabaseError")
    return state[:2] in AWAY_CLASSES or state in AWAY_STATES


def _note_trouble() -> None:
    global _met_trouble_at
    _met_trouble_at = time.monotonic()


def met_trouble(within: float) -> bool:
    """Tell whether this process met trouble on its way to the database in so many last seconds."""
    return time.monotonic() - _met_trouble_at < within
