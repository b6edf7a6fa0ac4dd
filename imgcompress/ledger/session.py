"""Sessions of the ledger: how transactions begin, and how an unavailable database is reported."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Engine, Result, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from ..errors import ImgcompressError, LedgerUnavailable
from ..extensions import Base, db

# A transaction takes milliseconds; if it takes this long, the connection is broken or very slow.
SLOW_SECONDS = 5.0
# The SQLSTATEs of a PostgreSQL that is unavailable. By class: failed connections and logins,
# rollbacks because of other transactions, no space, a shutdown or a start, system errors. One by
# one: read-only (a standby, a full disk), no database of this name, a terminated transaction,
# revoked rights (some hosters do so when the disk is full), locks, and a table that does not exist
# yet, because the schema has not been upgraded.
AWAY_CLASSES = frozenset({"08", "28", "40", "53", "57", "58"})
READ_ONLY = "25006"
AWAY_STATES = frozenset({READ_ONLY, "3D000", "25P03", "25P04", "42501", "42P01", "55006", "55P03"})
# The codes of an unavailable SQLite: no permission, busy, locked, no memory, read-only,
# interrupted, disk error, full, cannot be opened, lock held too long by another process.
AWAY_RESULTS = frozenset({3, 5, 6, 7, 8, 9, 10, 13, 14, 15})

_met_trouble_at = -math.inf


@contextmanager
def watched() -> Iterator[None]:
    """Record when the database cannot be used, or takes very long.

    Errors of the database or its driver that mean this become LedgerUnavailable.
    """
    began = time.monotonic()
    try:
        yield
    except LedgerUnavailable:
        _note_trouble()
        raise
    except Exception as error:
        if not means_unavailable(error):
            raise
        _note_trouble()
        raise LedgerUnavailable(detail=str(error)) from error
    finally:
        if time.monotonic() - began > SLOW_SECONDS:
            _note_trouble()


def means_unavailable(error: BaseException) -> bool:
    """Return whether an error says that the database cannot be used at the moment.

    It may come from SQLAlchemy, or from the driver itself, as when a connection is returned.
    """
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None and means_unavailable(error.orig)
        )
    driver = type(error).__module__.partition(".")[0]
    if driver == "sqlite3":
        # The low byte is the kind. Errors found by the driver itself, such as a text that is not
        # UTF-8, have no code.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in AWAY_RESULTS or str(
            error
        ).startswith("no such table")
    if driver != "psycopg2":
        return False
    state: str | None = getattr(error, "pgcode", None)
    if state is None:
        # No answer.
        return type(error).__name__ in ("OperationalError", "InterfaceError", "DatabaseError")
    return state[:2] in AWAY_CLASSES or state in AWAY_STATES


def _note_trouble() -> None:
    global _met_trouble_at
    _met_trouble_at = time.monotonic()


def met_trouble(within: float) -> bool:
    """Return whether the database failed for this process within the last `seconds`."""
    return time.monotonic() - _met_trouble_at < within


BUSY_SECONDS = 30
# A broken connection is noticed after 10 + 3 * 5 s; by default the kernel would send its first
# probe after two hours. libpq ignores options that a system does not have. Without an encoding the
# connection would use the database's own, which may not have every character.
POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "client_encoding": "utf8",
}
# In the other direction: if a host is cut off in the middle of a transaction, its locks end after
# this time; otherwise its job would stall (seen). Our transactions wait for nothing but the
# database.
IDLE_TRANSACTION_SECONDS = 10
# How far the log grows (16 MiB) before a commit copies it into the database: four times the
# default, since pages that change repeatedly are then copied less often.
LOG_PAGES = 4000


# The engine of readers on Postgres, beside the one that SQLALCHEMY_DATABASE_URI names.
READERS = "readers"


@contextmanager
def writing() -> Iterator[Session]:
    """Open one write transaction; commit at its end, roll back on any error.

    Raise LedgerUnavailable when the database cannot be used.
    """
    with watched(), _session(_writers(db.engine)) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """Open a session for reading: each of its statements sees the newest state.

    Raise LedgerUnavailable when the database cannot be used.
    """
    with watched(), _session(_readers()) as session:
        try:
            yield session
        except ImgcompressError:
            raise
        except Exception:
            # The cursor may not be at its end, as when a row cannot be read. Until it is freed,
            # SQLite shows its connection an old snapshot, whoever uses it next.
            session.invalidate()
            raise


@contextmanager
def connected() -> Iterator[Connection]:
    """Open a connection for reading, which takes half the time of a session; see reading()."""
    with watched(), _readers().connect() as connection:
        yield connection


def _readers() -> Engine:
    return db.engines.get(READERS) or _readers_on_sqlite(db.engine)


def _session(engine: Engine) -> Session:
    return Session(engine, expire_on_commit=False)


@lru_cache(maxsize=1)
def _writers(engine: Engine) -> Engine:
    """Return the engine for write transactions, created once, since a new one starts slowly."""
    return engine.execution_options(write=True)


@lru_cache(maxsize=1)
def _readers_on_sqlite(engine: Engine) -> Engine:
    """Return the engine for readers, which use no transactions; see _begin()."""
    return engine.execution_options(write=False)


def insert_into(session: Session, table: type[Base]) -> postgresql.Insert:
    """Return this database's INSERT, which supports ON CONFLICT.

    SQLite's class is another one, with the same methods.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return cast(postgresql.Insert, insert(table))


def rowcount(result: Result[Any]) -> int:
    """Return the number of rows that a statement changed."""
    return cast("CursorResult[Any]", result).rowcount


def engine_options(url: str) -> dict[str, Any]:
    """Return the engine options for this database.

    Errors are logged without the values of their statements, which may be secrets.
    """
    if url.startswith("sqlite"):
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    else:
        options = {"pool_pre_ping": True, "pool_timeout": 5, "connect_args": POSTGRES}
    return options | {"hide_parameters": True}


def readers(url: str) -> dict[str, dict[str, Any]]:
    """Return the options of a separate engine for readers, by its name, if there is one.

    On Postgres each of their statements sees the newest state even inside a transaction (READ
    COMMITTED), and its begin and end would take two more round trips. Switching a connection
    between the two modes would also take two round trips each time.
    """
    if url.startswith("sqlite"):
        return {}
    return {READERS: engine_options(url) | {"url": url, "isolation_level": "AUTOCOMMIT"}}


def adapt(engine: Engine) -> None:
    """Prepare the connections, and make SQLite's transactions behave as elsewhere.

    A write transaction takes its lock at the start: one that reads first and then writes would fail
    at once with SQLITE_BUSY if another wrote in between, whatever the timeout.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "handle_error", _give_up_read_only)


def _give_up_read_only(context: ExceptionContext) -> None:
    """Replace all connections after a read-only one, which may lead to a server that was replaced.

    A connection also keeps the read-only default from when it was opened.
    """
    if getattr(context.original_exception, "pgcode", None) == READ_ONLY:
        context.is_disconnect = True


def _prepare_postgres(connection: DBAPIConnection, _record: Any) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_SECONDS}s'")
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # The driver must not begin transactions itself.
    for pragma in (
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "synchronous = FULL",
        f"wal_autocheckpoint = {LOG_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Begin a transaction, except for readers; one that does not declare writing is a migration."""
    write = connection.get_execution_options().get("write")
    if write is not False:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def create_sqlite_file(url: str) -> None:
    """Create the database file in WAL mode, once, when `url` names a SQLite file that is missing.

    Two processes that switch to WAL at the same time fail with "database is locked" whatever the
    timeout (measured), so only the migration command does it.
    """
    database = make_url(url).database
    if not url.startswith("sqlite") or not database or Path(database).exists():
        return
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(database, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
