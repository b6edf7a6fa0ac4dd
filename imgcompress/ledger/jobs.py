"""Create, look up, cancel and retry jobs, within the limits of their owners."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from ..errors import ImgcompressError
from ..metrics import JOBS_ENDED
from .clock import NOW
from .metrics import RecoveryCounter, add_values, count
from .models import (
    ACTIVE_JOB,
    IMAGES,
    JOBS,
    ApiKey,
    CompressedImage,
    ImageStatus,
    JobDeletion,
    JobFailure,
    JobRequest,
    JobSlice,
    JobStatus,
    OwnerCircuit,
    SliceState,
)
from .outbox import add_event
from .queries import ANY_IMAGE, ImageFilter, failures_in, properties_of, visible_to
from .savings import add_ended, remove_ended
from .session import reading, rowcount, writing


class TooManyJobs(ImgcompressError):
    """The key has reached the limit of active jobs."""

    code = "too_many_active_jobs"
    message = (
        "Your API key has reached its limit of active jobs. Wait until one of them has"
        " ended, or cancel one."
    )
    retryable = True
    retry_after = 30.0


def check_job_quota(owner: str | None, most: int) -> None:
    """Raise TooManyJobs if one more job would be too many, before any work is done for it.

    For None, which has no limit, raise only LedgerUnavailable.
    """
    with reading() as session:
        if _active_jobs(session, owner) >= most and owner is not None:
            raise TooManyJobs()


def check_quota(session: Session, owner: str, most: int) -> None:
    """Raise TooManyJobs if the job of this transaction is one too many.

    Concurrent uploads with one key are serialised here, so that they stay within the quota.
    """
    session.execute(select(ApiKey.name).where(ApiKey.name == owner).with_for_update())
    if _active_jobs(session, owner) > most:
        raise TooManyJobs()


def _active_jobs(session: Session, owner: str | None) -> int:
    return (
        session.scalar(
            select(func.count())
            .select_from(JobRequest)
            .where(*visible_to(owner), JobRequest.status.in_(ACTIVE_JOB))
        )
        or 0
    )


log = logging.getLogger(__name__)

NOTHING_SUCCEEDED = "None of the images could be compressed; see errors for the reasons."


def start_job(session: Session, request_id: UUID) -> bool:
    """Move a PENDING job to PROCESSING and record the event; return whether it was PENDING."""
    moved = rowcount(session.execute(_START, {"job": request_id}))
    if moved:
        add_event(session, request_id)
    return bool(moved)


_START = (
    update(JOBS)
    .where(JOBS.c.request_id == bindparam("job"), JOBS.c.status == JobStatus.PENDING)
    .values(status=JobStatus.PROCESSING, started_at=NOW, updated_at=NOW)
)
_LOCK = (
    update(JOBS)
    .where(JOBS.c.request_id == bindparam("job"), JOBS.c.status == JobStatus.PROCESSING)
    .values(updated_at=NOW)
)


def lock_job(session: Session, request_id: UUID) -> bool:
    """Lock the row of a PROCESSING job until the transaction ends; return whether it is one."""
    return bool(rowcount(session.execute(_LOCK, {"job": request_id})))


def close_if_finished(session: Session, request_id: UUID) -> bool:
    """Close the job if none of its images is PENDING; return whether this call closed it.

    The caller holds the lock of the job's row, by an UPDATE of it in the same transaction: if the
    two last slices finish together, the second sees what the first wrote.
    """
    if session.scalar(_HAS_PENDING_IMAGES, {"job": request_id}):
        return False
    repaired = repair_counters(session, request_id)
    succeeded = JobRequest.completed_images > 0
    status = session.scalar(
        update(JobRequest)
        .where(JobRequest.request_id == request_id, JobRequest.status == JobStatus.PROCESSING)
        .values(
            status=case((succeeded, JobStatus.COMPLETED), else_=JobStatus.FAILED),
            error_message=case((succeeded, None), else_=NOTHING_SUCCEEDED),
            completion_percentage=100,
            finished_at=NOW,
            updated_at=NOW,
        )
        .returning(JobRequest.status)
        .execution_options(synchronize_session=False)
    )
    if status:
        _finish_slices(session, request_id)
        add_event(session, request_id)
        add_ended(session, [request_id])
        add_values(session, {JOBS_ENDED.sample(status): 1})
    if repaired:
        log.error("The counters of job %s had drifted from its images; repaired", request_id)
        count(session, RecoveryCounter.COUNTERS_REPAIRED)
    return bool(status)


def _finish_slices(session: Session, request_id: UUID) -> None:
    """Move slices to DONE whose worker died, or has not released them yet."""
    session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == request_id, JobSlice.state != SliceState.DONE)
        .values(state=SliceState.DONE, lease_until=None, published_at=None, holder=None)
        .execution_options(synchronize_session=False)
    )


_HAS_PENDING_IMAGES = select(
    exists().where(IMAGES.c.request_id == bindparam("job"), IMAGES.c.status == ImageStatus.PENDING)
)


def repair_counters(session: Session, request_id: UUID) -> bool:
    """Recompute the job's counters from its images; return whether they differed."""
    image = CompressedImage
    completed = image.status == ImageStatus.COMPLETED
    truth = (
        session.execute(
            select(
                _number(completed).label("completed_images"),
                _number(image.status == ImageStatus.FAILED).label("failed_images"),
                _total(image.input_bytes, completed).label("input_bytes"),
                _total(image.output_bytes, completed).label("output_bytes"),
            ).where(image.request_id == request_id)
        )
        .one()
        ._asdict()
    )
    same = and_(*(getattr(JobRequest, name) == value for name, value in truth.items()))
    return bool(
        rowcount(
            session.execute(
                update(JobRequest)
                .where(JobRequest.request_id == request_id, not_(same))
                .values(**truth)
            )
        )
    )


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _total(column: Any, condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, column), else_=0)), 0)


def cancel_job(request_id: UUID) -> bool:
    """Move an active job to CANCELLED; nothing is written to it afterwards."""
    with writing() as session:
        cancelled = rowcount(
            session.execute(
                update(JobRequest)
                .where(JobRequest.request_id == request_id, JobRequest.status.in_(ACTIVE_JOB))
                .values(status=JobStatus.CANCELLED, finished_at=NOW, updated_at=NOW)
                .execution_options(synchronize_session=False)
            )
        )
        if cancelled:
            add_event(session, request_id)
            add_ended(session, [request_id])
            add_values(session, {JOBS_ENDED.sample(JobStatus.CANCELLED): 1})
        return bool(cancelled)


def retry_job(
    request_id: UUID, codes: Collection[str] = (), group: ImageFilter = ANY_IMAGE
) -> bool:
    """Move an ended job back to PENDING, with its failed images, and record the event.

    The failed images can be restricted to some error codes, and to a group of failures; duplicates
    of their URLs are included. A cancelled job also continues with its unfinished images. Return
    False, with nothing changed, if the job is active or has nothing to retry, or if no image of the
    group failed.
    """
    with writing() as session:
        if not _reopen(session, request_id):
            return False
        failed = _failed(codes, group)
        queued = _requeue_slices(session, request_id, failed)
        reset = _reset_images(session, request_id, failed)
        _move_counters(session, request_id, reset)
        _forget_failures(session, request_id, codes, group)
        if not queued or (group != ANY_IMAGE and not reset):
            session.rollback()
            return False
        add_event(session, request_id)
        return True


def _reopen(session: Session, request_id: UUID) -> bool:
    """Open a new epoch of a job that has ended and is not deleted, which locks its row."""
    session.execute(
        select(JobRequest.request_id).where(JobRequest.request_id == request_id).with_for_update()
    )
    remove_ended(session, request_id)
    reopened = rowcount(
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == request_id, JobRequest.status.not_in(ACTIVE_JOB))
            .values(
                status=JobStatus.PENDING,
                epoch=JobRequest.epoch + 1,
                updated_at=NOW,
                started_at=None,
                finished_at=None,
                error_message=None,
            )
            .execution_options(synchronize_session=False)
        )
    )
    # A separate statement: only now is a deletion visible that the last one had to wait for.
    if reopened and session.scalar(select(exists().where(JobDeletion.request_id == request_id))):
        session.rollback()
        return False
    return bool(reopened)


def _requeue_slices(session: Session, request_id: UUID, failed: ColumnElement[bool]) -> int:
    """Put slices with unfinished images back to QUEUED, and invalidate their last claims.

    A slice whose worker died stays isolated, as if that had happened once.
    """
    image = CompressedImage
    # A scalar subquery is one index lookup per row. Postgres may turn EXISTS into a join, which
    # takes minutes for a job that is new to its statistics (measured).
    first_unfinished = (
        select(func.min(image.ordinal))
        .where(
            image.request_id == request_id,
            image.ordinal.between(JobSlice.first_ordinal, JobSlice.last_ordinal),
            image.duplicate_of.is_(None),
            or_(image.status == ImageStatus.PENDING, failed),
        )
        .correlate(JobSlice)
        .scalar_subquery()
    )
    return rowcount(
        session.execute(
            update(JobSlice)
            .where(JobSlice.request_id == request_id, first_unfinished.is_not(None))
            .values(
                state=SliceState.QUEUED,
                attempt=JobSlice.attempt + 1,
                crashes=case((JobSlice.crashes > 0, 1), else_=0),
                holder=None,
                lease_until=None,
                published_at=None,
                not_before=None,
            )
            .execution_options(synchronize_session=False)
        )
    )


def _reset_images(session: Session, request_id: UUID, failed: ColumnElement[bool]) -> int:
    """Put failed images back to PENDING, and then their duplicates; return how many."""
    image, first = CompressedImage, aliased(CompressedImage)
    status_of_first = (
        select(first.status)
        .where(first.request_id == request_id, first.ordinal == image.duplicate_of)
        .scalar_subquery()
    )
    return _reset(session, request_id, image.duplicate_of.is_(None), failed) + _reset(
        session,
        request_id,
        image.duplicate_of.is_not(None),
        image.status == ImageStatus.FAILED,
        status_of_first == ImageStatus.PENDING,
    )


def _reset(session: Session, request_id: UUID, *conditions: ColumnElement[bool]) -> int:
    return rowcount(
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == request_id, *conditions)
            .values(
                status=ImageStatus.PENDING,
                error_code=None,
                error_message=None,
                attempts=0,
                waits=0,
                not_before=None,
            )
            .execution_options(synchronize_session=False)
        )
    )


def _move_counters(session: Session, request_id: UUID, reset: int) -> None:
    job = JobRequest
    done = job.completed_images + job.failed_images - reset
    session.execute(
        update(job)
        .where(job.request_id == request_id)
        .values(
            failed_images=job.failed_images - reset,
            done_before=done,
            completion_percentage=done * 100 // job.total_images,
        )
        .execution_options(synchronize_session=False)
    )


def _forget_failures(
    session: Session, request_id: UUID, codes: Collection[str], group: ImageFilter
) -> None:
    """Remove the failures from the summary, and let their hosts be tried again.

    A caller that retries expects the host to work again; one image probes it.
    """
    failures = [
        JobFailure.request_id == request_id,
        _has_code(JobFailure.code, codes),
        *failures_in(group),
    ]
    circuit = OwnerCircuit
    of_host = (
        exists()
        .where(*failures, circuit.authority.startswith(JobFailure.host.concat(":")))
        .correlate(circuit)
    )
    owner = (
        select(func.coalesce(JobRequest.owner, ""))
        .where(JobRequest.request_id == request_id)
        .scalar_subquery()
    )
    session.execute(
        update(circuit)
        .where(circuit.owner == owner, of_host)
        .values(openings=1, open_until=NOW, probe_until=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(delete(JobFailure).where(*failures))


def _failed(codes: Collection[str], group: ImageFilter) -> ColumnElement[bool]:
    image = CompressedImage
    return and_(
        image.status == ImageStatus.FAILED,
        _has_code(image.error_code, codes),
        *properties_of(group),
    )


def _has_code(column: Any, codes: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of these codes; without codes, any."""
    condition: ColumnElement[bool] = column.in_(codes) if codes else column.is_not(None)
    return condition
