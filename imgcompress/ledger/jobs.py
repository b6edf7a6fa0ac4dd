"""The life of a job: start it, close it, cancel it."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, not_, select, update
from sqlalchemy.orm import Session

from ..metrics import JOBS_ENDED
from .clock import NOW
from .counters import Counter, count
from .events import add_event
from .metric_values import add_values
from .models import IMAGES, JOBS, CompressedImage, JobRequest, JobSlice
from .sessions import rowcount, writing
from .states import ACTIVE_JOB, ImageStatus, JobStatus, SliceState

log = logging.getLogger(__name__)

NOTHING_SUCCEEDED = "None of the images could be compressed; see errors for the reasons."


def start_job(session: Session, request_id: UUID) -> bool:
    """Move a PENDING job to PROCESSING and tell it as an event; return whether it was PENDING."""
    moved = rowcount(session.execute(_START, {"job": request_id}))
    if moved:
        add_event(session, request_id)
    return bool(moved)


_START = (update(JOBS)
          .where(JOBS.c.request_id == bindparam("job"), JOBS.c.status == JobStatus.PENDING)
          .values(status=JobStatus.PROCESSING, started_at=NOW, updated_at=NOW))
_LOCK = (update(JOBS)
         .where(JOBS.c.request_id == bindparam("job"), JOBS.c.status == JobStatus.PROCESSING)
         .values(updated_at=NOW))


def lock_job(session: Session, request_id: UUID) -> bool:
    """Lock the row of a PROCESSING job until the transaction ends; return whether it is one."""
    return bool(rowcount(session.execute(_LOCK, {"job": request_id})))


def close_if_finished(session: Session, request_id: UUID) -> bool:
    """Close the job if none of its images is PENDING; return whether this call closed it.

    The caller holds the lock of the job's row, by an UPDATE of it in the same transaction: of two
    last slices that finish together, the second one sees what the first one wrote.
    """
    if session.scalar(_HAS_PENDING_IMAGES, {"job": request_id}):
        return False
    repaired = repair_counters(session, request_id)
    succeeded = JobRequest.completed_images > 0
    status = session.scalar(
        update(JobRequest)
        .where(JobRequest.request_id == request_id, JobRequest.status == JobStatus.PROCESSING)
        .values(status=case((succeeded, JobStatus.COMPLETED), else_=JobStatus.FAILED),
                error_message=case((succeeded, None), else_=NOTHING_SUCCEEDED),
                completion_percentage=100, finished_at=NOW, updated_at=NOW)
        .returning(JobRequest.status)
        .execution_options(synchronize_session=False))
    if status:
        _finish_slices(session, request_id)
        add_event(session, request_id)
        add_values(session, {JOBS_ENDED.sample(status): 1})
    if repaired:
        log.error("The counters of job %s had drifted from its images; repaired", request_id)
        count(session, Counter.COUNTERS_REPAIRED)
    return bool(status)


def _finish_slices(session: Session, request_id: UUID) -> None:
    """Move the slices to DONE whose worker died, or has not come to say that it is done."""
    session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == request_id, JobSlice.state != SliceState.DONE)
        .values(state=SliceState.DONE, lease_until=None, published_at=None, holder=None)
        .execution_options(synchronize_session=False))


_HAS_PENDING_IMAGES = select(exists().where(IMAGES.c.request_id == bindparam("job"),
                                            IMAGES.c.status == ImageStatus.PENDING))


def repair_counters(session: Session, request_id: UUID) -> bool:
    """Set the job's counters to what its images say; return whether they differed."""
    image = CompressedImage
    completed = image.status == ImageStatus.COMPLETED
    truth = session.execute(
        select(_number(completed).label("completed_images"),
               _number(image.status == ImageStatus.FAILED).label("failed_images"),
               _total(image.input_bytes, completed).label("input_bytes"),
               _total(image.output_bytes, completed).label("output_bytes"))
        .where(image.request_id == request_id)).one()._asdict()
    same = and_(*(getattr(JobRequest, name) == value for name, value in truth.items()))
    return bool(rowcount(session.execute(
        update(JobRequest).where(JobRequest.request_id == request_id, not_(same))
        .values(**truth))))


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _total(column: Any, condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, column), else_=0)), 0)


def cancel_job(request_id: UUID) -> bool:
    """Move an active job to CANCELLED; nothing is written to it afterwards."""
    with writing() as session:
        cancelled = rowcount(session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == request_id, JobRequest.status.in_(ACTIVE_JOB))
            .values(status=JobStatus.CANCELLED, finished_at=NOW, updated_at=NOW)
            .execution_options(synchronize_session=False)))
        if cancelled:
            add_event(session, request_id)
            add_values(session, {JOBS_ENDED.sample(JobStatus.CANCELLED): 1})
        return bool(cancelled)
