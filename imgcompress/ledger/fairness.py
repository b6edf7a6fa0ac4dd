"""Fairness: a job that waits for a worker gets one before another job gets its second.

A job may spread over every idle worker. But where jobs wait, none may hold two slices more than
one that waits: so a job whose origins hang cannot keep all workers waiting with it. A worker that
waits for the last images of its slices takes another slice meanwhile, of the job with the fewest.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, bindparam, exists, func, select
from sqlalchemy.orm import Session

from .clock import NOW, from_now_by, is_due
from .leases import IS_ACTIVE, job_is_active
from .models import JOBS, SLICES
from .sessions import reading
from .states import SliceState

# An idle worker takes a message within milliseconds: what stands for longer waits for a worker.
WAITS_AFTER = timedelta(seconds=1)
JOBS_LOOKED_AT = 50


def next_slice(but_not: Collection[UUID] = ()) -> tuple[UUID, int] | None:
    """Return the slice that a worker with nothing to begin should claim, if there is one.

    It is the first one that is due of the job that holds the fewest slices, and of several such
    jobs of the oldest; `but_not` names jobs to pass over.
    """
    query = _NEXT_OF_OTHERS if but_not else _NEXT
    with reading() as session:
        found = session.execute(query, {"but_not": but_not}).one_or_none()
    return None if found is None else (found.request_id, found.slice_no)


# The condition that a slice is to be worked on now, and nobody does.
DUE = SLICES.c.state == SliceState.QUEUED, is_due(SLICES.c.not_before)
_HELD = SLICES.c.state == SliceState.LEASED, SLICES.c.lease_until > NOW


def _slices_held() -> Subquery:
    """Return the jobs that hold slices, and how many."""
    return (select(SLICES.c.request_id, func.count().label("slices"))
            .where(*_HELD).group_by(SLICES.c.request_id).subquery("held"))


def _next_slice(*conditions: ColumnElement[bool]) -> Select[Any]:
    held = _slices_held()
    oldest = (select(JOBS.c.request_id, JOBS.c.created_at)
              .where(IS_ACTIVE, exists().where(SLICES.c.request_id == JOBS.c.request_id, *DUE),
                     *conditions)
              .order_by(JOBS.c.created_at).limit(JOBS_LOOKED_AT).subquery("oldest"))
    chosen = (select(oldest.c.request_id)
              .outerjoin(held, held.c.request_id == oldest.c.request_id)
              .order_by(func.coalesce(held.c.slices, 0), oldest.c.created_at)
              .limit(1).subquery("chosen"))
    first = select(func.min(SLICES.c.slice_no)).where(
        SLICES.c.request_id == chosen.c.request_id, *DUE).scalar_subquery()
    return select(chosen.c.request_id, first.label("slice_no"))


_NEXT = _next_slice()
_NEXT_OF_OTHERS = _next_slice(JOBS.c.request_id.not_in(bindparam("but_not", expanding=True)))


def crowds_out(request_id: UUID) -> bool:
    """Tell whether a job should hand back one of the slices that it holds."""
    with reading() as session:
        return is_ahead(session, request_id, by=2)


def is_ahead(session: Session, request_id: UUID, *, by: int) -> bool:
    """Tell whether a job holds at least `by` slices more than some job that waits."""
    return bool(session.scalar(_IS_AHEAD, {"job": request_id, "by": by, "waits": -WAITS_AFTER}))


def _is_ahead() -> Select[tuple[bool]]:
    held = _slices_held()
    others = (select(func.coalesce(held.c.slices, 0).label("slices"))
              .select_from(SLICES.outerjoin(held, held.c.request_id == SLICES.c.request_id))
              .where(*DUE, SLICES.c.published_at < from_now_by("waits"), job_is_active(),
                     SLICES.c.request_id != bindparam("job")).subquery("other"))
    own = select(func.count()).where(
        SLICES.c.request_id == bindparam("job"), *_HELD).scalar_subquery()
    return select(exists().where(others.c.slices + bindparam("by") <= own))


_IS_AHEAD = _is_ahead()
