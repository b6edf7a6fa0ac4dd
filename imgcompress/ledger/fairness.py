"""Fairness: an owner that waits for a worker gets one before another owner gets its second.

A job may spread over every idle worker. But where others wait, no owner of jobs may hold two slices
more than one who waits, however many jobs it has; and among the jobs of one owner it is the same.
So a job whose origins hang cannot keep all workers waiting with it. A worker that waits for the
last images of its slices takes another slice meanwhile, of the owner and then the job that holds
the fewest.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session

from .leases import IS_ACTIVE
from .models import JOBS, SLICES
from .sessions import reading
from .states import SliceState
from .types import NOW, is_due, utcnow

# An idle worker takes a message within milliseconds: what stands for longer waits for a worker.
WAITS_AFTER = timedelta(seconds=1)


def next_slice(but_not: Collection[UUID] = ()) -> tuple[UUID, int] | None:
    """Return the slice that a worker with nothing to begin should claim, if there is one.

    It is the first one that is due of the owner who holds the fewest slices, of that owner's job
    that holds the fewest, and of several such jobs of the oldest. `but_not` names jobs to pass
    over.
    """
    query = _NEXT_OF_OTHERS if but_not else _NEXT
    with reading() as session:
        found = session.execute(query, {"now": utcnow(), "but_not": but_not}).one_or_none()
    return None if found is None else (found.request_id, found.slice_no)


# The condition that a slice is to be worked on now, and nobody does.
DUE = SLICES.c.state == SliceState.QUEUED, is_due(SLICES.c.not_before)
_HELD = SLICES.c.state == SliceState.LEASED, SLICES.c.lease_until > NOW


# The name of the API key; empty where none is asked for.
OWNER = func.coalesce(JOBS.c.owner, "")


def _slices_held(by: ColumnElement[Any], name: str) -> Subquery:
    """Return the jobs, or the owners of jobs, that hold slices, and how many."""
    return (select(by.label("holder"), func.count().label("slices"))
            .select_from(SLICES.join(JOBS, JOBS.c.request_id == SLICES.c.request_id))
            .where(*_HELD).group_by(by).subquery(name))


def _next_slice(*conditions: ColumnElement[bool]) -> Select[Any]:
    of_job = _slices_held(JOBS.c.request_id, "of_job")
    of_owner = _slices_held(OWNER, "of_owner")
    chosen = (select(JOBS.c.request_id)
              .outerjoin(of_job, of_job.c.holder == JOBS.c.request_id)
              .outerjoin(of_owner, of_owner.c.holder == OWNER)
              .where(IS_ACTIVE, exists().where(SLICES.c.request_id == JOBS.c.request_id, *DUE),
                     *conditions)
              .order_by(func.coalesce(of_owner.c.slices, 0), func.coalesce(of_job.c.slices, 0),
                        JOBS.c.created_at)
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
    """Tell whether a job's owner holds at least `by` slices more than another who waits.

    Or whether the job itself does, beside another job of its owner that waits.
    """
    now = utcnow()
    return bool(session.scalar(_IS_AHEAD, {
        "job": request_id, "by": by, "now": now, "published_by": now - WAITS_AFTER}))


def _is_ahead() -> Select[tuple[bool]]:
    of_job = _slices_held(JOBS.c.request_id, "of_job")
    of_owner = _slices_held(OWNER, "of_owner")
    waiting = (select(JOBS.c.request_id, OWNER.label("owner"))
               .select_from(SLICES.join(JOBS, JOBS.c.request_id == SLICES.c.request_id))
               .where(*DUE, SLICES.c.published_at < bindparam("published_by"), IS_ACTIVE,
                      JOBS.c.request_id != bindparam("job")).distinct().subquery("waiting"))
    itself = (select(JOBS.c.request_id, OWNER.label("owner"))
              .where(JOBS.c.request_id == bindparam("job")).subquery("itself"))

    def held(counts: Subquery, holder: ColumnElement[Any]) -> ColumnElement[int]:
        return func.coalesce(
            select(counts.c.slices).where(counts.c.holder == holder).scalar_subquery(), 0)

    is_sibling = waiting.c.owner == itself.c.owner
    by: ColumnElement[int] = bindparam("by", type_=Integer)
    return select(exists().where(or_(
        and_(is_sibling, held(of_job, waiting.c.request_id) + by
             <= held(of_job, itself.c.request_id)),
        and_(~is_sibling, held(of_owner, waiting.c.owner) + by
             <= held(of_owner, itself.c.owner)))))


_IS_AHEAD = _is_ahead()
