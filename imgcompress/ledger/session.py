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

# A transaction takes milliseconds; one that takes this long met a broken or very slow connection.
SLOW_SECONDS = 5.0
# What PostgreSQL says while it cannot do its work, by SQLSTATE: connections and logins that fail,
# rollbacks for the sake of others, no space, a shutdown or a start, errors of the system; and
# one by one: read-only (a standby, a full disk), no database of this name, a transaction that it
# gave up, rights that were taken away (some hosters do so when the disk is full), locks, and a
# table that is not there yet, since nobody has brought the schema up to date.
AWAY_CLASSES = frozenset({"08", "28", "40", "53", "57", "58"})
READ_ONLY = "25006"
AWAY_STATES = frozenset({READ_ONLY, "3D000", "25P03", "25P04", "42501", "42P01", "55006", "55P03"})
# What SQLite says: no right to the file, busy, locked, no memory, read-only, interrupted, an error
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
        if not means_unavailable(error):
            raise
        _note_trouble()
        raise LedgerUnavailable(detail=str(error)) from error
    finally:
        if time.monotonic() - began > SLOW_SECONDS:
            _note_trouble()


def means_unavailable(error: BaseException) -> bool:
    """Return whether an error says that the database cannot be used at the moment.

    It may come from SQLAlchemy, or from the driver itself, as where a connection is given back.
    """
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None and means_unavailable(error.orig)
        )
    driver = type(error).__module__.partition(".")[0]
    if driver == "sqlite3":
        # The low byte is the kind. What the driver itself finds, such as a text that is not UTF-8,
        # has no code.
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
# A server that is cut off without a word is noticed after 10 + 3 * 5 s; the kernel would ask after
# two hours for the first time. libpq passes over what a system does not know. Without an encoding
# the connection would have the database's own, in which not every text can be sent or read.
POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "client_encoding": "utf8",
}
# The other way round: a host that is cut off in the midst of a transaction holds its locks for no
# longer, or its job would stand still with it (seen). No transaction of ours waits for anything but
# the database.
IDLE_TRANSACTION_SECONDS = 10
# How far the log grows (16 MiB) before a commit carries it over into the database: four times as
# far as by default, since a page that changes over and over is then carried over less often.
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
    """Open a session to read with: each of its statements sees the newest state.

    Raise LedgerUnavailable when the database cannot be used.
    """
    with watched(), _session(_readers()) as session:
        try:
            yield session
        except ImgcompressError:
            raise
        except Exception:
            # The cursor may stand before its end, as where a row cannot be read. While it is not
            # freed, SQLite would show its connection the past, whoever uses it next.
            session.invalidate()
            raise


@contextmanager
def connected() -> Iterator[Connection]:
    """Open a connection to read with, which takes half the time of a session; see reading()."""
    with watched(), _readers().connect() as connection:
        yield connection


def _readers() -> Engine:
    return db.engines.get(READERS) or _readers_on_sqlite(db.engine)


def _session(engine: Engine) -> Session:
    return Session(engine, expire_on_commit=False)


@lru_cache(maxsize=1)
def _writers(engine: Engine) -> Engine:
    """Return the engine for transactions that write, made once: each new one starts slowly."""
    return engine.execution_options(write=True)


@lru_cache(maxsize=1)
def _readers_on_sqlite(engine: Engine) -> Engine:
    """Return the engine for readers, who do without transactions; see _begin()."""
    return engine.execution_options(write=False)


def insert_into(session: Session, table: type[Base]) -> postgresql.Insert:
    """Return an INSERT that may say what to do on a conflict, in the words of this database.

    SQLite's has the same methods, though it is another class.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return cast(postgresql.Insert, insert(table))


def rowcount(result: Result[Any]) -> int:
    """Return the number of rows that a statement changed."""
    return cast("CursorResult[Any]", result).rowcount


def engine_options(url: str) -> dict[str, Any]:
    """Return the engine options for this database.

    Errors go into the log without the values of their statement, which may be secrets.
    """
    if url.startswith("sqlite"):
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    else:
        options = {"pool_pre_ping": True, "pool_timeout": 5, "connect_args": POSTGRES}
    return options | {"hide_parameters": True}


def readers(url: str) -> dict[str, dict[str, Any]]:
    """Return the options of the engine for readers, by its name, where they have one of their own.

    On Postgres each of their statements would see the newest state also inside a transaction (READ
    COMMITTED), and its begin and end would be two more trips to the server. A connection that went
    from one kind of use to the other would cost two trips each time, to say so.
    """
    if url.startswith("sqlite"):
        return {}
    return {READERS: engine_options(url) | {"url": url, "isolation_level": "AUTOCOMMIT"}}


def adapt(engine: Engine) -> None:
    """Prepare the connections, and make transactions on SQLite what they are elsewhere.

    There a write takes its lock at the start: a transaction that reads first and then writes would
    fail at once with SQLITE_BUSY when another one wrote in between, whatever the timeout.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "handle_error", _give_up_read_only)


def _give_up_read_only(context: ExceptionContext) -> None:
    """Have new connections made after a read-only one: it may lead to a server that was replaced.

    A connection also keeps for its life the rule of when it was made.
    """
    if getattr(context.original_exception, "pgcode", None) == READ_ONLY:
        context.is_disconnect = True


def _prepare_postgres(connection: DBAPIConnection, _record: Any) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_SECONDS}s'")
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # The driver must not begin transactions by itself.
    for pragma in (
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "synchronous = FULL",
        f"wal_autocheckpoint = {LOG_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Begin a transaction for all but readers; what does not declare that it writes is a migration."""
    write = connection.get_execution_options().get("write")
    if write is not False:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def create_sqlite_file(url: str) -> None:
    """Create the database file in WAL mode, once, when `url` names a SQLite file that is missing.

    Two processes that switch to WAL at the same time fail with "database is locked" whatever the
    timeout (measured), so it is done by the migration command alone.
    """
    database = make_url(url).database
    if not url.startswith("sqlite") or not database or Path(database).exists():
        return
    Path(database).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(database, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
