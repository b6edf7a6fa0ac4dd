"""Delete jobs: hide them at once, then take away their rows and files, however often it is cut off.

A large job has a million rows, so they go in short transactions. Until all is gone the job has a
row in `job_deletion`; recovery takes up what its deleter left, and looks once more, later, for the
files of a worker that had not heard of the deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update

from ..metrics import JOBS_ENDED
from .clock import NOW, from_now
from .metric_values import add_values
from .models import CompressedImage, JobDeletion, JobRequest
from .queries import visible_to
from .sessions import insert_into, reading, rowcount, writing
from .states import ACTIVE_JOB, ENDED_JOB, JobStatus

DELETE_BATCH = 5000
JOBS_AT_ONCE = 20
# The deleter, while it lives, is left alone for this long.
TAKEN_UP_AFTER = timedelta(seconds=60)
# No worker goes on for this long with a job that is no longer there.
LAST_ROUND_AFTER = timedelta(minutes=15)

DeleteFiles = Callable[[UUID], None]


def mark_deleted(request_id: UUID, owner: str | None) -> bool:
    """Hide a job for good and stop its work; return whether this owner could see it."""
    return bool(_mark(JobRequest.request_id == request_id, *visible_to(owner)))


def mark_all_deleted(owner: str | None) -> list[UUID]:
    """Hide every job that this owner can see and stop their work; return their ids."""
    return _mark(*visible_to(owner))


def count_old_jobs(before: datetime) -> int:
    """Return how many jobs ended before a time."""
    with reading() as session:
        return session.scalar(
            select(func.count()).select_from(JobRequest).where(*_ended(before))) or 0


def erase_old_jobs(before: datetime, delete_files: DeleteFiles,
                   stopped: Callable[[], bool] = lambda: False) -> int:
    """Delete the jobs that ended before a time, until it is `stopped`; return how many.

    What is marked and not erased, recovery erases.
    """
    erased = 0
    while not stopped() and (marked := _mark_some(before)):
        for request_id in marked:
            erase_job(request_id, delete_files)
        erased += len(marked)
    return erased


def _mark_some(before: datetime) -> list[UUID]:
    old = (select(JobRequest.request_id).where(*_ended(before))
           .order_by(JobRequest.created_at).limit(JOBS_AT_ONCE))
    return _mark(JobRequest.request_id.in_(old), *_ended(before))


def _ended(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return what a job must be that ended before a time; no job begins after it has ended.

    The index knows when it began.
    """
    return (JobRequest.status.in_(ENDED_JOB), JobRequest.created_at < before,
            JobRequest.finished_at < before, *visible_to(None))


def _mark(*conditions: ColumnElement[bool]) -> list[UUID]:
    with writing() as session:
        marked = list(session.scalars(
            select(JobRequest.request_id).where(*conditions)
            .order_by(JobRequest.request_id).with_for_update()))
        cancelled = rowcount(session.execute(
            update(JobRequest).where(*conditions, JobRequest.status.in_(ACTIVE_JOB))
            .values(status=JobStatus.CANCELLED, finished_at=NOW, updated_at=NOW)
            .execution_options(synchronize_session=False)))
        if marked:
            # Who marked some of them meanwhile has done what is wanted.
            session.execute(
                insert_into(session, JobDeletion).values(due_at=from_now(TAKEN_UP_AFTER))
                .on_conflict_do_nothing(), [{"request_id": request_id} for request_id in marked])
        if cancelled:
            add_values(session, {JOBS_ENDED.sample(JobStatus.CANCELLED): cancelled})
        return marked


def erase_job(request_id: UUID, delete_files: DeleteFiles) -> None:
    """Take away the rows and the files of a job that is marked as deleted."""
    while _delete_images(request_id):
        pass
    delete_files(request_id)
    with writing() as session:
        # What else belongs to the job goes with its row.
        session.execute(delete(JobRequest).where(JobRequest.request_id == request_id))
        session.execute(
            update(JobDeletion).where(JobDeletion.request_id == request_id)
            .values(erased=True, due_at=from_now(LAST_ROUND_AFTER))
            .execution_options(synchronize_session=False))


def _delete_images(request_id: UUID) -> int:
    """Delete some of the job's images under the lock of its row; return how many."""
    image = CompressedImage
    with writing() as session:
        session.execute(select(JobRequest.request_id)
                        .where(JobRequest.request_id == request_id).with_for_update())
        some = select(image.image_id).where(image.request_id == request_id).limit(DELETE_BATCH)
        return rowcount(session.execute(
            delete(image).where(image.image_id.in_(some))
            .execution_options(synchronize_session=False)))


def erase_due_jobs(delete_files: DeleteFiles) -> int:
    """Take up the deletions that are due; return how many there were."""
    with reading() as session:
        due = session.execute(
            select(JobDeletion.request_id, JobDeletion.erased)
            .where(JobDeletion.due_at <= NOW).order_by(JobDeletion.due_at)).all()
    return sum(_take_up(request_id, erased, delete_files) for request_id, erased in due)


def _take_up(request_id: UUID, erased: bool, delete_files: DeleteFiles) -> bool:
    """Erase a job, or look for its last files; return False when another process has taken it."""
    with writing() as session:
        taken = rowcount(session.execute(
            update(JobDeletion)
            .where(JobDeletion.request_id == request_id, JobDeletion.due_at <= NOW)
            .values(due_at=from_now(TAKEN_UP_AFTER))
            .execution_options(synchronize_session=False)))
    if taken and not erased:
        erase_job(request_id, delete_files)
    elif taken:
        delete_files(request_id)
        with writing() as session:
            session.execute(delete(JobDeletion).where(JobDeletion.request_id == request_id))
    return bool(taken)
