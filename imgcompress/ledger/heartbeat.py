"""When recovery was last at work, so that somebody can tell that it no longer is."""

from __future__ import annotations

from sqlalchemy import func, select

from .counters import LedgerCounter
from .sessions import insert_into, reading, writing
from .types import utcnow

# The row holds a time, in seconds since 1970, where others hold a count.
NAME = "recovered_at"
# Recovery comes every few seconds; to write that down each time would keep an idle disk awake.
WRITTEN_EVERY = 30


def note_recovery() -> None:
    """Note that recovery is at work."""
    now = int(utcnow().timestamp())
    with reading() as session:
        noted = session.scalar(select(LedgerCounter.value).where(LedgerCounter.name == NAME))
    if noted is not None and now - noted < WRITTEN_EVERY:
        return
    with writing() as session:
        session.execute(
            insert_into(session, LedgerCounter).values(name=NAME, value=now)
            .on_conflict_do_update(index_elements=("name",), set_={"value": now}))


def recovery_age() -> float | None:
    """Return how many seconds ago recovery was at work, WRITTEN_EVERY too many at most.

    None stands for never.
    """
    with reading() as session:
        noted = session.scalar(select(LedgerCounter.value).where(LedgerCounter.name == NAME))
    return None if noted is None else max(0.0, utcnow().timestamp() - noted)


def clock_difference() -> float:
    """Return by how many seconds this machine's clock is ahead of the database's."""
    with reading() as session:
        began = utcnow().timestamp()
        if session.get_bind().dialect.name == "sqlite":
            return 0.0  # It has the clock of this machine.
        theirs = session.scalar(select(func.extract("epoch", func.clock_timestamp())))
        ended = utcnow().timestamp()
    return (began + ended) / 2 - float(theirs or 0)
