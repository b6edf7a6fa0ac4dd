"""Delete jobs: hide them at once, then take away their rows and files, however often it is cut off.

A large job has a million rows, so they go in short transactions. Until all is gone the job has a
row in `job_deletion`; recovery takes up what its deleter left, and looks once more, later, for the
files of a worker that had not heard of the deletion. One process at a time is at it, however long
the storage takes: it puts off again and again when others may take the job up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from ..metrics import JOBS_ENDED
from .clock import NOW, from_now
from .metric_values import add_values
from .models import CompressedImage, JobDeletion, JobRequest
from .queries import visible_to
from .sessions import insert_into, reading, rowcount, writing
from .states import ACTIVE_JOB, ENDED_JOB, JobStatus

DELETE_BATCH = 5000
JOBS_AT_ONCE = 20
# A deleter from whom nothing is heard for so long has died. A storage may need a minute for a step.
TAKEN_UP_AFTER = timedelta(seconds=90)
# It shows that it is at work this often.
HEARD_EVERY = timedelta(seconds=10)
# No worker goes on for this long with a job that is no longer there.
LAST_ROUND_AFTER = timedelta(minutes=15)

# Deletes the files of a job's epochs, and calls what it is given again and again meanwhile.
DeleteFiles = Callable[[UUID, int, Callable[[], None]], None]


class ErasureTaken(Exception):
    """Another process has taken the deletion up, and alone goes on with it."""


@dataclass
class Erasure:
    """A deletion in the hands of this process until `due_at`, when others may take it up.

    That time, which is the database's, is its fencing token: whoever takes the deletion up, or goes
    on with it, moves it. `heard` is when it was moved last, by this process's monotonic clock.
    """

    request_id: UUID
    due_at: datetime
    heard: float = -math.inf

    def go_on(self) -> None:
        """Let others hear that this process is at it, if they have not lately. See put_off()."""
        if time.monotonic() - self.heard > HEARD_EVERY.total_seconds():
            with writing() as session:
                self.put_off(session)

    def put_off(self, session: Session, wait: timedelta = TAKEN_UP_AFTER, **values: Any) -> None:
        """Keep it from others for a while. Raise ErasureTaken where it is another's by now."""
        later = session.scalar(
            update(JobDeletion).where(*self._itself).values(due_at=from_now(wait), **values)
            .returning(JobDeletion.due_at).execution_options(synchronize_session=False))
        if later is None:
            raise ErasureTaken()
        self.due_at, self.heard = later, time.monotonic()

    def end(self, session: Session) -> None:
        """Forget the deletion. Raise ErasureTaken where it is another's by now."""
        if not rowcount(session.execute(delete(JobDeletion).where(*self._itself))):
            raise ErasureTaken()

    @property
    def _itself(self) -> tuple[ColumnElement[bool], ...]:
        return JobDeletion.request_id == self.request_id, JobDeletion.due_at == self.due_at


def mark_deleted(request_id: UUID, owner: str | None) -> Erasure | None:
    """Hide a job for good and stop its work; None for one that this owner cannot see.

    What is left of it is in the caller's hands for a while.
    """
    marked = _mark(JobRequest.request_id == request_id, *visible_to(owner))
    return marked[0] if marked else None


def mark_all_deleted(owner: str | None) -> list[Erasure]:
    """Hide every job that this owner can see and stop their work; see mark_deleted()."""
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
        for erasure in marked:
            erase_job(erasure, delete_files)
        erased += len(marked)
    return erased


def _mark_some(before: datetime) -> list[Erasure]:
    old = (select(JobRequest.request_id).where(*_ended(before))
           .order_by(JobRequest.created_at).limit(JOBS_AT_ONCE))
    return _mark(JobRequest.request_id.in_(old), *_ended(before))


def _ended(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return what a job must be that ended before a time; no job begins after it has ended.

    The index knows when it began.
    """
    return (JobRequest.status.in_(ENDED_JOB), JobRequest.created_at < before,
            JobRequest.finished_at < before, *visible_to(None))


def _mark(*conditions: ColumnElement[bool]) -> list[Erasure]:
    with writing() as session:
        marked = list(session.scalars(
            select(JobRequest.request_id).where(*conditions)
            .order_by(JobRequest.request_id).with_for_update()))
        cancelled = rowcount(session.execute(
            update(JobRequest).where(*conditions, JobRequest.status.in_(ACTIVE_JOB))
            .values(status=JobStatus.CANCELLED, finished_at=NOW, updated_at=NOW)
            .execution_options(synchronize_session=False)))
        erasures: list[Erasure] = []
        if marked:
            # Those that another one marked meanwhile are in its hands.
            erasures = [Erasure(*row, heard=time.monotonic()) for row in session.execute(
                insert_into(session, JobDeletion).values(due_at=from_now(TAKEN_UP_AFTER))
                .on_conflict_do_nothing().returning(JobDeletion.request_id, JobDeletion.due_at),
                [{"request_id": request_id} for request_id in marked])]
        if cancelled:
            add_values(session, {JOBS_ENDED.sample(JobStatus.CANCELLED): cancelled})
        return erasures


def erase_job(erasure: Erasure, delete_files: DeleteFiles) -> bool:
    """Take away the rows and the files of a job that is marked as deleted.

    Return False when another process has taken that up.
    """
    request_id = erasure.request_id
    try:
        erasure.go_on()
        while _delete_images(request_id):
            erasure.go_on()
        delete_files(request_id, _epochs(request_id), erasure.go_on)
        with writing() as session:
            # What else belongs to the job goes with its row.
            session.execute(delete(JobRequest).where(JobRequest.request_id == request_id))
            erasure.put_off(session, LAST_ROUND_AFTER, erased=True)
    except ErasureTaken:
        return False
    return True


def _epochs(request_id: UUID) -> int:
    with reading() as session:
        return session.scalar(
            select(JobRequest.epoch).where(JobRequest.request_id == request_id)) or 1


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
            select(JobDeletion.request_id, JobDeletion.due_at, JobDeletion.erased)
            .where(JobDeletion.due_at <= NOW).order_by(JobDeletion.due_at)).all()
    return sum(_take_up(Erasure(request_id, due_at), erased, delete_files)
               for request_id, due_at, erased in due)


def _take_up(erasure: Erasure, erased: bool, delete_files: DeleteFiles) -> bool:
    """Erase a job, or look for its last files; return False when another process has taken it."""
    try:
        erasure.go_on()
        if not erased:
            return erase_job(erasure, delete_files)
        # Late files of later epochs are left to the sweep: how many there were is gone by now.
        delete_files(erasure.request_id, 1, erasure.go_on)
        with writing() as session:
            erasure.end(session)
    except ErasureTaken:
        return False
    return True
