"""Leases: their end when they run out, or when the process that held them has died."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, case, exists, literal, not_, or_, select, update
from sqlalchemy.orm import Session

from .clock import NOW
from .counters import Counter, count
from .models import JOBS, SLICES, JobSlice
from .sessions import reading, rowcount, writing
from .states import ACTIVE_JOB, SliceState


def lease_holders() -> list[str]:
    """Return the processes that hold leases of active jobs, as `claim_slice` was told them."""
    with reading() as session:
        return list(session.scalars(
            select(JobSlice.holder).distinct()
            .where(JobSlice.state == SliceState.LEASED, JobSlice.holder.is_not(None),
                   job_is_active())))


def expire_leases(dead: Collection[str] = ()) -> int:
    """Put every slice whose lease ran out, or whose holder is dead, back to QUEUED.

    Return how many there were. Should a holder live after all, its next write finds the claim gone.
    """
    ended = or_(JobSlice.lease_until < NOW, JobSlice.holder.in_(dead))
    with writing() as session:
        return end_leases(session, ended, dead=dead)


def end_leases(session: Session, *conditions: ColumnElement[bool],
               dead: Collection[str] = ()) -> int:
    """Put the leased slices of active jobs that meet the conditions back to QUEUED.

    They may have killed their worker, so it counts as a crash where the holder is known to be
    `dead`, and where nothing was done. Else the holder may merely have been slow or cut off; and if
    an image kills workers after all, there will be nothing else left to be done before it.
    Return how many there were.
    """
    crashed = or_(JobSlice.holder.in_(dead), not_(JobSlice.progressed))
    ended = rowcount(session.execute(
        update(JobSlice)
        .where(JobSlice.state == SliceState.LEASED, *conditions, job_is_active())
        .values(state=SliceState.QUEUED, published_at=None, lease_until=None, holder=None,
                crashes=JobSlice.crashes + case((crashed, 1), else_=0))
        .execution_options(synchronize_session=False)))
    count(session, Counter.LEASES_EXPIRED, ended)
    return ended


# A parameter for each: a list as one parameter is taken apart anew by each execution.
IS_ACTIVE = JOBS.c.status.in_([literal(status) for status in ACTIVE_JOB])


def job_is_active() -> ColumnElement[bool]:
    """Return the condition that a slice's job is active."""
    return exists().where(JOBS.c.request_id == SLICES.c.request_id, IS_ACTIVE).correlate(SLICES)
