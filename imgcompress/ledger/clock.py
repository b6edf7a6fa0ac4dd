"""The ledger's clock is the database's: all machines share it instead of using their own.

A statement expresses times as spans from now. Postgres counts them from when it received the
statement; for SQLite, which runs in this process, the database's clock is this machine's.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    DateTime,
    Interval,
    bindparam,
    event,
    or_,
    select,
)
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from .models import UTCDateTime, utcnow
from .session import reading

log = logging.getLogger(__name__)

# Synchronised machines differ by less.
TOLERATED_SECONDS = 2.0
# How long a measured difference between this machine's clock and the database's is used.
KNOWN_FOR_SECONDS = 30.0
# A measurement that took longer is too inaccurate.
MEASURED_WITHIN = 1.0

# Tests set it to let time pass.
ADVANCED = timedelta(0)


class Span(TypeDecorator[timedelta]):
    """A span of time in a statement: Postgres adds it to now; for SQLite it is added here."""

    impl = Interval
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that the driver uses."""
        return dialect.type_descriptor(DateTime() if dialect.name == "sqlite" else Interval())

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> Any:
        """Return the span, or for SQLite the time at its end."""
        span = (value or timedelta(0)) + ADVANCED
        return (_statement.began + span).replace(tzinfo=None) if dialect.name == "sqlite" else span


class _Statement(threading.local):
    """When this thread's statement began: all times of a statement are relative to it."""

    began = utcnow()


_statement = _Statement()


@event.listens_for(Engine, "before_execute")
def _note_beginning(*_: Any) -> None:
    _statement.began = utcnow()


class _Moment(FunctionElement[datetime]):
    type = UTCDateTime()
    inherit_cache = True


@compiles(_Moment, "sqlite")
def _on_sqlite(element: _Moment, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_Moment, "postgresql")
def _on_postgres(element: _Moment, compiler: Any, **options: Any) -> str:
    # Not now(), which is the start of the transaction; nor clock_timestamp(), which cannot use an
    # index, since it differs from row to row.
    return f"(statement_timestamp() + {compiler.process(element.clauses, **options)})"


def from_now(span: timedelta | float) -> ColumnElement[datetime]:
    """Return the time a span from now by the ledger's clock; a number is in seconds.

    A negative span lies in the past.
    """
    span = span if isinstance(span, timedelta) else timedelta(seconds=span)
    return _moment(bindparam("span", span, type_=Span(), unique=True))


def from_now_by(name: str) -> ColumnElement[datetime]:
    """Return the time from now by a timedelta, which is bound to the parameter of this name."""
    return _moment(bindparam(name, type_=Span()))


def _moment(span: BindParameter[timedelta]) -> ColumnElement[datetime]:
    return _Moment(span)


# The present time, for use in statements.
NOW = from_now(0)


def is_due(not_before: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a time has passed or is NULL."""
    return or_(not_before.is_(None), not_before <= NOW)


def ledger_now() -> datetime:
    """Return the present time by the ledger's clock, from a query; for rare uses."""
    with reading() as session:
        return now_in(session)


def now_in(session: Session) -> datetime:
    """Return the present time by the ledger's clock, in a session."""
    return session.scalars(select(NOW)).one()


def about_now() -> datetime:
    """Return approximately the present time by the ledger's clock, without a query."""
    return utcnow() - timedelta(seconds=_DIFFERENCE.recent())


def clock_difference() -> float:
    """Measure by how many seconds this machine's clock is ahead of the database's."""
    with reading() as session:
        if session.get_bind().dialect.name == "sqlite":
            return 0.0
        session.connection()  # The connection may have to be made first.
        began = utcnow()
        theirs = now_in(session)
        ended = utcnow()
    return _DIFFERENCE.note(began, theirs, ended)


def note_time(began: datetime, theirs: datetime) -> None:
    """Record the time returned by a statement that began at `began` and has just ended.

    That needs no extra round trip. A difference between the clocks is logged when it begins.
    """
    _DIFFERENCE.note(began, theirs, utcnow())


class _Difference:
    """The last measured lead of this machine's clock over the database's."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._known_until = 0.0
        self._told = False

    def note(self, began: datetime, theirs: datetime, ended: datetime) -> float:
        """Record a time that was measured between two times of this machine."""
        seconds = ((began - theirs) + (ended - theirs)) / timedelta(seconds=2)
        if abs(ended - began) <= timedelta(seconds=MEASURED_WITHIN):
            self._seconds = seconds
            self._known_until = time.monotonic() + KNOWN_FOR_SECONDS
            self._tell()
        return seconds

    def recent(self) -> float:
        """Return the recent measurement, or else measure now."""
        if time.monotonic() > self._known_until:
            # On SQLite nothing is measured.
            self._known_until = time.monotonic() + KNOWN_FOR_SECONDS
            self._seconds = clock_difference()
        return self._seconds

    def _tell(self) -> None:
        differs = abs(self._seconds) > TOLERATED_SECONDS
        if differs and not self._told:
            log.warning(
                "This machine's clock is %.1f s %s the database's, which decides what is"
                " due; synchronise them (chrony, systemd-timesyncd)",
                abs(self._seconds),
                "ahead of" if self._seconds > 0 else "behind",
            )
        elif self._told and not differs:
            log.warning("This machine's clock agrees with the database's again")
        self._told = differs


_DIFFERENCE = _Difference()
