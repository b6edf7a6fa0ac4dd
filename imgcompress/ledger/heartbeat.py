"""When recovery was last at work, so that somebody can tell that it no longer is."""

from __future__ import annotations

from sqlalchemy import select

from .clock import NOW
from .counters import LedgerCounter
from .sessions import insert_into, reading, writing

# The row holds a time, in seconds since 1970, where others hold a count.
NAME = "recovered_at"
# Recovery comes every few seconds; to write that down each time would keep an idle disk awake.
WRITTEN_EVERY = 30


def note_recovery() -> None:
    """Note that recovery is at work."""
    now, noted = _read()
    if noted is not None and 0 <= now - noted < WRITTEN_EVERY:
        return
    with writing() as session:
        session.execute(
            insert_into(session, LedgerCounter).values(name=NAME, value=int(now))
            .on_conflict_do_update(index_elements=("name",), set_={"value": int(now)}))


def recovery_age() -> float | None:
    """Return how many seconds ago recovery was at work, WRITTEN_EVERY too many at most.

    None stands for never. A time in the future was noted before somebody put the clock back, and
    tells of no work since: the further away it is, the longer that may be.
    """
    now, noted = _read()
    return None if noted is None else abs(now - noted)


def seconds_put_back() -> float:
    """Return by how many seconds the clock was put back since recovery was at work, about."""
    now, noted = _read()
    return 0.0 if noted is None else max(0.0, noted - now)


def _read() -> tuple[float, int | None]:
    """Return the present time and the one that was noted."""
    noted = select(LedgerCounter.value).where(LedgerCounter.name == NAME).scalar_subquery()
    with reading() as session:
        row = session.execute(select(NOW.label("now"), noted.label("noted"))).one()
    return row.now.timestamp(), row.noted
