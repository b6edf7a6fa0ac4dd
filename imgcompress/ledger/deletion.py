"""Delete jobs with their files, and files that no row names.

A large job has a million rows, so they are deleted in short transactions. Until all is deleted, the
job has a row in `job_deletion`; recovery finishes an interrupted deletion, and later checks again
for files of a worker that did not know of it. One process at a time works on a deletion, however
long the storage takes: it keeps postponing the time when others may take over.

Images of several jobs may share a file; it is deleted with the last of them. Rows are deleted
first, and a transaction that lets another image share a file locks the row of the file: so once a
job's own rows are deleted, a search for the rows that share a file finds all that there will ever
be.

A worker whose job is cancelled or deleted has stored images that nobody needs, and deletes them
itself. If the worker dies, or cannot reach the ledger or the storage at that moment, the daily
sweep deletes them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from ..errors import ImgcompressError
from ..file_names import FOLDERS, file_ref, id_of_image, job_of_upload
from ..metrics import JOBS_ENDED
from .clock import NOW, from_now
from .metrics import add_values
from .models import ACTIVE_JOB, ENDED_JOB, CompressedImage, JobDeletion, JobRequest, JobStatus
from .queries import visible_to
from .savings import add_ended
from .session import insert_into, reading, rowcount, writing

DELETE_BATCH = 5000
JOBS_AT_ONCE = 20
# A process that has not renewed its claim for this long has died. A storage may need a minute for a
# step.
TAKEN_UP_AFTER = timedelta(seconds=90)
# How often the claim is renewed.
HEARD_EVERY = timedelta(seconds=10)
# No worker continues for this long with a job that was deleted.
LAST_ROUND_AFTER = timedelta(minutes=15)

# Returns the keys whose files are still in use.
Held = Callable[[Collection[str]], Collection[str]]


class JobFiles(Protocol):
    """The stored files of jobs."""

    def delete_job(
        self, request_id: UUID, epochs: int, held: Held, progressed: Callable[[], None]
    ) -> None:
        """Delete the files of a job's epochs except those that are `held`.

        `progressed` is called repeatedly meanwhile.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files of any jobs."""


class PurgeTaken(Exception):
    """Another process has taken over the deletion."""


@dataclass
class Purge:
    """A deletion claimed by this process until `due_at`, when others may take over.

    That time, by the database's clock, is the fencing token: a process that takes over or continues
    the deletion changes it. `heard` is the time of the last change, by this process's monotonic
    clock.
    """

    request_id: UUID
    due_at: datetime
    heard: float = -math.inf

    def go_on(self) -> None:
        """Renew the claim unless it was renewed recently. See put_off()."""
        if time.monotonic() - self.heard > HEARD_EVERY.total_seconds():
            with writing() as session:
                self.put_off(session)

    def put_off(self, session: Session, wait: timedelta = TAKEN_UP_AFTER, **values: Any) -> None:
        """Renew the claim. Raise PurgeTaken if another process has taken over."""
        later = session.scalar(
            update(JobDeletion)
            .where(*self._itself)
            .values(due_at=from_now(wait), **values)
            .returning(JobDeletion.due_at)
            .execution_options(synchronize_session=False)
        )
        if later is None:
            raise PurgeTaken()
        self.due_at, self.heard = later, time.monotonic()

    def end(self, session: Session) -> None:
        """Delete the row of the deletion. Raise PurgeTaken if another process has taken over."""
        if not rowcount(session.execute(delete(JobDeletion).where(*self._itself))):
            raise PurgeTaken()

    @property
    def _itself(self) -> tuple[ColumnElement[bool], ...]:
        return JobDeletion.request_id == self.request_id, JobDeletion.due_at == self.due_at


def soft_delete(request_id: UUID, owner: str | None) -> Purge | None:
    """Hide a job for good and stop its work; return None if this owner cannot see it.

    The caller then holds the claim of its deletion for a while.
    """
    marked = _mark(JobRequest.request_id == request_id, *visible_to(owner))
    return marked[0] if marked else None


def soft_delete_all(owner: str | None) -> list[Purge]:
    """Hide every job that this owner can see and stop their work; see soft_delete()."""
    return _mark(*visible_to(owner))


def count_old_jobs(before: datetime) -> int:
    """Return how many jobs ended before a time."""
    with reading() as session:
        return (
            session.scalar(select(func.count()).select_from(JobRequest).where(*_ended(before))) or 0
        )


def purge_old_jobs(
    before: datetime, files: JobFiles, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Delete the jobs that ended before a time, until it is `stopped`; return how many.

    Recovery purges jobs that are marked and not yet purged.
    """
    erased = 0
    while not stopped() and (marked := _mark_some(before)):
        for erasure in marked:
            purge_job(erasure, files)
        erased += len(marked)
    return erased


def _mark_some(before: datetime) -> list[Purge]:
    old = (
        select(JobRequest.request_id)
        .where(*_ended(before))
        .order_by(JobRequest.created_at)
        .limit(JOBS_AT_ONCE)
    )
    return _mark(JobRequest.request_id.in_(old), *_ended(before))


def _ended(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a job ended before a time.

    No job begins after it has ended, and the index has the time when it began.
    """
    return (
        JobRequest.status.in_(ENDED_JOB),
        JobRequest.created_at < before,
        JobRequest.finished_at < before,
        *visible_to(None),
    )


def _mark(*conditions: ColumnElement[bool]) -> list[Purge]:
    with writing() as session:
        marked = list(
            session.scalars(
                select(JobRequest.request_id)
                .where(*conditions)
                .order_by(JobRequest.request_id)
                .with_for_update()
            )
        )
        cancelled = list(
            session.scalars(
                update(JobRequest)
                .where(*conditions, JobRequest.status.in_(ACTIVE_JOB))
                .values(status=JobStatus.CANCELLED, finished_at=NOW, updated_at=NOW)
                .returning(JobRequest.request_id)
                .execution_options(synchronize_session=False)
            )
        )
        erasures: list[Purge] = []
        if marked:
            # Jobs that another process marked meanwhile are claimed by it.
            erasures = [
                Purge(*row, heard=time.monotonic())
                for row in session.execute(
                    insert_into(session, JobDeletion)
                    .values(due_at=from_now(TAKEN_UP_AFTER))
                    .on_conflict_do_nothing()
                    .returning(JobDeletion.request_id, JobDeletion.due_at),
                    [{"request_id": request_id} for request_id in marked],
                )
            ]
        if cancelled:
            add_ended(session, cancelled)
            add_values(session, {JOBS_ENDED.sample(JobStatus.CANCELLED): len(cancelled)})
        return erasures


def purge_job(erasure: Purge, files: JobFiles) -> bool:
    """Delete the rows and the files of a job that is marked as deleted.

    Return False if another process has taken over.
    """
    request_id = erasure.request_id
    try:
        erasure.go_on()
        while gone := _delete_images(request_id):
            if shared := set(filter(None, gone)):
                files.delete(shared - held_keys(shared))
            erasure.go_on()
        files.delete_job(request_id, _epochs(request_id), held_keys, erasure.go_on)
        with writing() as session:
            # Everything else of the job is deleted with its row.
            session.execute(delete(JobRequest).where(JobRequest.request_id == request_id))
            erasure.put_off(session, LAST_ROUND_AFTER, erased=True)
    except PurgeTaken:
        return False
    return True


def _epochs(request_id: UUID) -> int:
    with reading() as session:
        return (
            session.scalar(select(JobRequest.epoch).where(JobRequest.request_id == request_id)) or 1
        )


def _delete_images(request_id: UUID) -> list[str | None]:
    """Delete some of the job's images under the lock of its row.

    Return for each the key of its file if that is named after another image, or None. They are
    locked in the same order as by transactions that take over results.
    """
    image = CompressedImage
    with writing() as session:
        session.execute(
            select(JobRequest.request_id)
            .where(JobRequest.request_id == request_id)
            .with_for_update()
        )
        some = (
            select(image.image_id)
            .where(image.request_id == request_id)
            .order_by(image.ordinal)
            .limit(DELETE_BATCH)
            .with_for_update()
        )
        # With a CASE instead, SQLite 3.40 returned keys of rows without a file_ref (seen).
        gone = session.execute(
            delete(image)
            .where(image.image_id.in_(some))
            .returning(image.file_ref, image.storage_key)
            .execution_options(synchronize_session=False)
        )
        return [None if ref is None else key for ref, key in gone]


def held_keys(keys: Collection[str]) -> set[str]:
    """Return the keys of images whose files are in use by any job."""
    named = {key: image_id for key in keys if (image_id := id_of_image(key))}
    if not named:
        return set()
    image = CompressedImage
    with reading() as session:
        own = session.scalars(
            select(image.storage_key).where(image.image_id.in_(list(named.values())))
        )
        shared = session.scalars(
            select(image.storage_key)
            .where(image.file_ref.in_({file_ref(image_id) for image_id in named.values()}))
            .where(image.storage_key.in_(list(named)))
            .distinct()
        )
        return {key for key in (*own, *shared) if key in named}


def purge_due_jobs(files: JobFiles) -> int:
    """Continue the deletions that are due; return how many there were."""
    with reading() as session:
        due = session.execute(
            select(JobDeletion.request_id, JobDeletion.due_at, JobDeletion.erased)
            .where(JobDeletion.due_at <= NOW)
            .order_by(JobDeletion.due_at)
        ).all()
    return sum(
        _take_up(Purge(request_id, due_at), erased, files) for request_id, due_at, erased in due
    )


def _take_up(erasure: Purge, erased: bool, files: JobFiles) -> bool:
    """Purge a job, or look for its last files; return False if another process has taken over."""
    try:
        erasure.go_on()
        if not erased:
            return purge_job(erasure, files)
        # Late files of later epochs are left to the sweep: the number of epochs is gone by now.
        files.delete_job(erasure.request_id, 1, held_keys, erasure.go_on)
        with writing() as session:
            erasure.end(session)
    except PurgeTaken:
        return False
    return True


# A file is written before its row; no file this old can still be without its row.
ORPHAN_MIN_AGE = timedelta(days=1)
# Up to this many orphans are deleted unconditionally, and any number that is a minority.
FEW = 100
BATCH = 500

# The listing of a folder by the storage: keys, and when their files were written.
ListFiles = Callable[[str], Iterable[tuple[str, datetime]]]


class TooManyOrphans(ImgcompressError):
    """Most files belong to no job, so another installation may be using the same storage."""

    code = "strange_files"
    message = (
        "Most of the stored files belong to no job of this ledger, so none is deleted. Does"
        " another installation use the same STORAGE_URL, or is the database an old one?"
    )


@dataclass
class Sweep:
    """The number of files that are old enough to check, and of the orphans among them."""

    files: int = 0
    orphans: int = 0

    @property
    def is_suspicious(self) -> bool:
        """Return whether the orphans are too many to be deleted safely."""
        return self.orphans > max(FEW, self.files / 2)


def count_orphans(list_files: ListFiles, before: datetime) -> Sweep:
    """Count the files written before a time, and the orphans among them."""
    sweep = Sweep()
    for keys in _old_files(list_files, before):
        sweep.files += len(keys)
        sweep.orphans += len(_orphans(keys))
    return sweep


def delete_orphans(
    list_files: ListFiles,
    delete: Callable[[str], None],
    before: datetime,
    *,
    force: bool = False,
) -> int:
    """Delete the files that belong to no job; return their number.

    Raise TooManyOrphans, with nothing deleted, if they are the majority.
    """
    if count_orphans(list_files, before).is_suspicious and not force:
        raise TooManyOrphans()
    deleted = 0
    for keys in _old_files(list_files, before):
        for key in _orphans(keys):
            delete(key)
            deleted += 1
    return deleted


def left_behind(request_id: UUID, epoch: int, keys: Collection[str]) -> list[str]:
    """Return the keys of an epoch's stored images that the ledger does not know and never will.

    During the epoch there are none: another worker may store the same image under the same key.
    After the epoch nothing more is written for it, and a retry uses other keys.
    """
    goes_on = exists().where(
        JobRequest.request_id == request_id,
        JobRequest.epoch == epoch,
        JobRequest.status.in_(ACTIVE_JOB),
    )
    with reading() as session:
        if session.scalar(select(goes_on)):
            return []
    known = held_keys(keys)
    return [key for key in keys if key not in known]


def _old_files(list_files: ListFiles, before: datetime) -> Iterator[list[str]]:
    for folder in FOLDERS:
        old = (key for key, modified in list_files(folder) if modified < before)
        while keys := list(islice(old, BATCH)):
            yield keys


def _orphans(keys: list[str]) -> list[str]:
    """Return the keys that the ledger does not know, without unfinished files."""
    known = _known_uploads(keys) | held_keys(keys)
    return [key for key in keys if key not in known]


def _known_uploads(keys: list[str]) -> set[str]:
    named = {key: job for key in keys if (job := job_of_upload(key))}
    with reading() as session:
        jobs = set(
            session.scalars(
                select(JobRequest.request_id).where(JobRequest.request_id.in_(set(named.values())))
            )
        )
    return {key for key, job in named.items() if job in jobs}
