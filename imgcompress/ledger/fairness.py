"""Fairness: a job that waits for a worker gets one before another job gets its second.

A job may spread over every idle worker. But where jobs wait, none may hold two slices more than
one that waits: so a job whose origins hang cannot keep all workers waiting with it. A worker that
waits for the last images of its slices takes another slice meanwhile, of the job with the fewest.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from .models import JobRequest, JobSlice
from .sessions import reading
from .states import ACTIVE_JOB, SliceState
from .types import is_due, utcnow

# An idle worker takes a message within milliseconds: what stands for longer waits for a worker.
WAITS_AFTER = timedelta(seconds=1)
JOBS_LOOKED_AT = 50


def next_slice(but_not: Collection[UUID] = ()) -> tuple[UUID, int] | None:
    """Return the slice that a worker with nothing to begin should claim, if there is one.

    It is the first one that is due of the job that holds the fewest slices, and of several such
    jobs of the oldest; `but_not` names jobs to pass over.
    """
    with reading() as session:
        waiting = list(session.scalars(
            select(JobRequest.request_id)
            .where(JobRequest.status.in_(ACTIVE_JOB), JobRequest.request_id.not_in(but_not),
                   exists().where(JobSlice.request_id == JobRequest.request_id, *_due()))
            .order_by(JobRequest.created_at).limit(JOBS_LOOKED_AT)))
        if not waiting:
            return None
        held = _slices_held(session)
        chosen = min(waiting, key=lambda job: held.get(job, 0))
        slice_no = session.scalar(
            select(func.min(JobSlice.slice_no)).where(JobSlice.request_id == chosen, *_due()))
    return None if slice_no is None else (chosen, slice_no)


def _due() -> tuple[ColumnElement[bool], ...]:
    return JobSlice.state == SliceState.QUEUED, is_due(JobSlice.not_before)


def crowds_out(request_id: UUID) -> bool:
    """Tell whether a job should hand back one of the slices that it holds."""
    with reading() as session:
        return is_ahead(session, request_id, by=2)


def is_ahead(session: Session, request_id: UUID, *, by: int) -> bool:
    """Tell whether a job holds at least `by` slices more than some job that waits."""
    others = [job for job in _waiting_jobs(session) if job != request_id]
    if not others:
        return False
    held = _slices_held(session)
    return held.get(request_id, 0) >= by + min(held.get(other, 0) for other in others)


def _slices_held(session: Session) -> dict[UUID, int]:
    rows = session.execute(
        select(JobSlice.request_id, func.count().label("slices"))
        .where(JobSlice.state == SliceState.LEASED, JobSlice.lease_until > utcnow())
        .group_by(JobSlice.request_id))
    return {row.request_id: row.slices for row in rows}


def _waiting_jobs(session: Session) -> list[UUID]:
    return list(session.scalars(
        select(JobSlice.request_id).distinct()
        .join(JobRequest, JobRequest.request_id == JobSlice.request_id)
        .where(*_due(), JobSlice.published_at < utcnow() - WAITS_AFTER,
               JobRequest.status.in_(ACTIVE_JOB))))
