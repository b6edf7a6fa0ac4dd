"""Retry: the failed images of an ended job are tried again, in a new epoch of the same job."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from .clock import NOW
from .events import add_event
from .models import (
    CompressedImage,
    JobDeletion,
    JobFailure,
    JobRequest,
    JobSlice,
    OwnerCircuit,
)
from .sessions import rowcount, writing
from .states import ACTIVE_JOB, ImageStatus, JobStatus, SliceState


def retry_job(request_id: UUID, codes: Collection[str] = ()) -> bool:
    """Move an ended job back to PENDING, with its failed images; tell it as an event.

    Of the failed images only those with one of these error codes, unless there are none; those
    that repeat their URL come along. A cancelled job also goes on with what it had left undone.
    Return False, with nothing changed, when the job is active or has nothing to try again.
    """
    with writing() as session:
        if not _reopen(session, request_id):
            return False
        queued = _requeue_slices(session, request_id, codes)
        _move_counters(session, request_id, _reset_images(session, request_id, codes))
        _forget_failures(session, request_id, codes)
        if not queued:
            session.rollback()
            return False
        add_event(session, request_id)
        return True


def _reopen(session: Session, request_id: UUID) -> bool:
    """Open a new epoch of a job that has ended and is not deleted, which locks its row."""
    reopened = rowcount(session.execute(
        update(JobRequest)
        .where(JobRequest.request_id == request_id, JobRequest.status.not_in(ACTIVE_JOB))
        .values(status=JobStatus.PENDING, epoch=JobRequest.epoch + 1, updated_at=NOW,
                started_at=None, finished_at=None, error_message=None)
        .execution_options(synchronize_session=False)))
    # In a statement of its own: a deletion that this one had to wait for is seen only now.
    if reopened and session.scalar(select(exists().where(JobDeletion.request_id == request_id))):
        session.rollback()
        return False
    return bool(reopened)


def _requeue_slices(session: Session, request_id: UUID, codes: Collection[str]) -> int:
    """Put slices that have something to do back to QUEUED, out of reach of their last claimants.

    One over which a worker died goes on in quarantine, as if that had happened once.
    """
    image = CompressedImage
    # A scalar subquery is one look into an index for each row. Postgres may turn EXISTS into a
    # join, and of a job that is new to its statistics it takes minutes for that (measured).
    first_unfinished = (
        select(func.min(image.ordinal))
        .where(image.request_id == request_id,
               image.ordinal.between(JobSlice.first_ordinal, JobSlice.last_ordinal),
               image.duplicate_of.is_(None),
               or_(image.status == ImageStatus.PENDING, _failed(codes)))
        .correlate(JobSlice).scalar_subquery())
    return rowcount(session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == request_id, first_unfinished.is_not(None))
        .values(state=SliceState.QUEUED, attempt=JobSlice.attempt + 1,
                crashes=case((JobSlice.crashes > 0, 1), else_=0),
                holder=None, lease_until=None, published_at=None, not_before=None)
        .execution_options(synchronize_session=False)))


def _reset_images(session: Session, request_id: UUID, codes: Collection[str]) -> int:
    """Put failed images back to PENDING, and then those that repeat them; return how many."""
    image, first = CompressedImage, aliased(CompressedImage)
    status_of_first = (
        select(first.status)
        .where(first.request_id == request_id, first.ordinal == image.duplicate_of)
        .scalar_subquery())
    return (_reset(session, request_id, image.duplicate_of.is_(None), _failed(codes))
            + _reset(session, request_id, image.duplicate_of.is_not(None), _failed(()),
                     status_of_first == ImageStatus.PENDING))


def _reset(session: Session, request_id: UUID, *conditions: ColumnElement[bool]) -> int:
    return rowcount(session.execute(
        update(CompressedImage)
        .where(CompressedImage.request_id == request_id, *conditions)
        .values(status=ImageStatus.PENDING, error_code=None, error_message=None, attempts=0,
                waits=0, not_before=None)
        .execution_options(synchronize_session=False)))


def _move_counters(session: Session, request_id: UUID, reset: int) -> None:
    job = JobRequest
    done = job.completed_images + job.failed_images - reset
    session.execute(
        update(job).where(job.request_id == request_id)
        .values(failed_images=job.failed_images - reset, done_before=done,
                completion_percentage=done * 100 // job.total_images)
        .execution_options(synchronize_session=False))


def _forget_failures(session: Session, request_id: UUID, codes: Collection[str]) -> None:
    """Take the failures out of the summary, and have their hosts tried, however often they failed.

    Who retries has reason to think that a host is well again; one image finds out.
    """
    failures = (JobFailure.request_id == request_id, _has_code(JobFailure.code, codes))
    circuit = OwnerCircuit
    of_host = exists().where(
        *failures, circuit.authority.startswith(JobFailure.host.concat(":"))).correlate(circuit)
    owner = select(func.coalesce(JobRequest.owner, "")).where(
        JobRequest.request_id == request_id).scalar_subquery()
    session.execute(
        update(circuit).where(circuit.owner == owner, of_host)
        .values(openings=1, open_until=NOW, probe_until=None)
        .execution_options(synchronize_session=False))
    session.execute(delete(JobFailure).where(*failures))


def _failed(codes: Collection[str]) -> ColumnElement[bool]:
    image = CompressedImage
    return and_(image.status == ImageStatus.FAILED, _has_code(image.error_code, codes))


def _has_code(column: Any, codes: Collection[str]) -> ColumnElement[bool]:
    """Tell whether a column has one of these codes; without codes every one will do."""
    condition: ColumnElement[bool] = column.in_(codes) if codes else column.is_not(None)
    return condition
