"""Fairness: an owner that waits for a worker gets one before another owner gets its second.

A job may spread over every idle worker. But where others wait, no owner of jobs may hold two slices
more than one who waits, however many jobs it has; and among the jobs of one owner it is the same.
So a job whose origins hang cannot keep all workers waiting with it. A worker that waits for the
last images of its slices takes another slice meanwhile, of the owner and then the job that holds
the fewest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, func, literal, or_, select
from sqlalchemy.orm import Session

from .clock import NOW, from_now_by, is_due
from .leases import IS_ACTIVE
from .models import JOBS, SLICES
from .sessions import reading
from .states import SliceState

# An idle worker takes a message within milliseconds: what stands for longer waits for a worker.
WAITS_AFTER = timedelta(seconds=1)

# The name of the API key; empty where none is asked for.
_OWNER = func.coalesce(JOBS.c.owner, "")
# The condition that a slice is to be worked on now, and nobody does. The state is written out, for
# an index holds these slices alone: a job that is nearly done has thousands of others.
DUE = (SLICES.c.state == literal(SliceState.QUEUED.value, literal_execute=True),
       is_due(SLICES.c.not_before))


class _Held:
    """How many slices each job and each owner of jobs holds."""

    def __init__(self, session: Session) -> None:
        self.jobs: Counter[UUID] = Counter()
        self.owners: Counter[str] = Counter()
        for job, owner, slices in session.execute(_HELD):
            self.jobs[job] = slices
            self.owners[owner] += slices


_SLICES_OF_JOBS = SLICES.join(JOBS, JOBS.c.request_id == SLICES.c.request_id)
_HELD = (select(JOBS.c.request_id, _OWNER, func.count()).select_from(_SLICES_OF_JOBS)
         .where(SLICES.c.state == SliceState.LEASED, SLICES.c.lease_until > NOW)
         .group_by(JOBS.c.request_id, _OWNER))


def next_slice(but_not: Collection[UUID] = ()) -> tuple[UUID, int] | None:
    """Return the slice that a worker with nothing to begin should claim, if there is one.

    It is the first one that is due of the owner who holds the fewest slices, of that owner's job
    that holds the fewest, and of several such jobs of the oldest. `but_not` names jobs to pass
    over.
    """
    with reading() as session:
        found = next(_next_slices(session, _Held(session), list(but_not)), None)
    return None if found is None else (found.request_id, found.slice_no)


def _next_slices(session: Session, held: _Held, but_not: list[UUID]) -> Iterator[Any]:
    """Yield slices that are due, the one to be preferred first."""
    passed_over = {"but_not": but_not}
    yield from session.execute(_OLDEST, passed_over | {"owners": list(held.owners)})
    for owner, _ in reversed(held.owners.most_common()):
        of_owner = {"owner": owner, "jobs": list(held.jobs)}
        yield from session.execute(_OLDEST_OF_OWNER, passed_over | of_owner)
        rows = session.execute(_IN_HAND_OF_OWNER, passed_over | of_owner).all()
        yield from sorted(rows, key=lambda row: held.jobs[row.request_id])


def _first_due(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Select jobs that have something due, the oldest first, and their first slice of that."""
    # A scalar subquery is one look into the index for each job.
    first = (select(func.min(SLICES.c.slice_no))
             .where(SLICES.c.request_id == JOBS.c.request_id, *DUE)
             .correlate(JOBS).scalar_subquery())
    return (select(JOBS.c.request_id, first.label("slice_no"))
            .where(IS_ACTIVE, JOBS.c.request_id.not_in(_several("but_not")), *conditions,
                   first.is_not(None))
            .order_by(JOBS.c.created_at))


def _several(name: str) -> Any:
    return bindparam(name, expanding=True)


_OLDEST = _first_due(_OWNER.not_in(_several("owners"))).limit(1)
_OLDEST_OF_OWNER = _first_due(_OWNER == bindparam("owner"),
                              JOBS.c.request_id.not_in(_several("jobs"))).limit(1)
_IN_HAND_OF_OWNER = _first_due(_OWNER == bindparam("owner"),
                               JOBS.c.request_id.in_(_several("jobs")))


def crowds_out(request_id: UUID) -> bool:
    """Tell whether a job should hand back one of the slices that it holds."""
    with reading() as session:
        return is_ahead(session, request_id, by=2)


def is_ahead(session: Session, request_id: UUID, *, by: int) -> bool:
    """Tell whether a job's owner holds at least `by` slices more than another who waits.

    Or whether the job itself does, beside another job of its owner that waits.
    """
    held = _Held(session)
    owner = session.scalar(_OWNER_OF_JOB, {"job": request_id})
    jobs, owners = held.jobs[request_id] - by, held.owners[owner or ""] - by
    if owner is None or owners < 0:
        return False
    return bool(session.scalar(_WAITS_BEHIND, {
        "job": request_id, "waits": -WAITS_AFTER, "stranger_to": owner,
        "sibling_of": owner if jobs >= 0 else None,
        # Those who hold more than that are not behind.
        "jobs": [job for job, slices in held.jobs.items() if slices > jobs],
        "owners": [name for name, slices in held.owners.items() if slices > owners]}))


_OWNER_OF_JOB = select(_OWNER).where(JOBS.c.request_id == bindparam("job"))
_WAITS_BEHIND = select(exists().select_from(_SLICES_OF_JOBS).where(
    *DUE, SLICES.c.published_at < from_now_by("waits"), IS_ACTIVE,
    JOBS.c.request_id != bindparam("job"),
    or_(and_(_OWNER == bindparam("sibling_of"), JOBS.c.request_id.not_in(_several("jobs"))),
        and_(_OWNER != bindparam("stranger_to"), _OWNER.not_in(_several("owners"))))))
