"""Write a new job: its row, its images and its slices, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    Uuid,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from ..catalogue import ImageColumns
from ..errors import LedgerUnavailable
from ..extensions import db
from ..metrics import JOBS_ACCEPTED
from .bulk import ImageRows, copy_rows, insert_rows, prefetch, yield_write_lock
from .changes import EarlierImages
from .clock import NOW
from .metrics import add_values
from .models import (
    CompressedImage,
    JobDeletion,
    JobRequest,
    JobSlice,
    JobStatus,
    SliceState,
    utcnow,
)
from .seals import seal
from .session import rowcount, writing

# SQLite has one writer at a time: a million rows in one transaction would keep all workers waiting
# for ten seconds and more. This many take less than a tenth of a second.
PART_ROWS = 5000
# A process that takes longer for one part has died, and recovery deletes what it has written.
PART_SECONDS = 120

Condition = Callable[[Session], None]


@dataclass(frozen=True)
class NewJob:
    """The job that an upload creates."""

    request_id: UUID
    source_filename: str
    options: dict[str, Any]
    base_url: str
    total_rows: int
    total_images: int
    # How the file is read, as the catalogue keeps it.
    reading: dict[str, Any] | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    email: str | None = None
    owner: str | None = None
    # The earlier job for comparison; see JobRequest.
    since_id: UUID | None = None
    trust_seconds: int | None = None
    fresh: bool = False
    # 0 for a job with `since`, even if there is no earlier job.
    removed_images: int | None = None


def create_job(
    job: NewJob,
    images: Iterable[ImageColumns],
    *,
    slice_size: int,
    conditions: Sequence[Condition] = (),
) -> None:
    """Write the job, its images and its slices; nothing is visible before it is complete.

    On Postgres that is one transaction. On SQLite a large job is written in parts, and counts as
    deleted until it is complete: if its writer dies, recovery deletes it. Each of the `conditions`
    is called in the last transaction, and raises an error if the job is not allowed.
    """
    dialect = db.engine.dialect
    # Creating the installation's key takes longer than a transaction should.
    sealed = seal(job.webhook_secret) if job.webhook_secret else None
    earlier = EarlierImages(job.since_id) if job.since_id else None
    rows = ImageRows(
        dialect, job.request_id, job.total_images, earlier.ordinals if earlier else None
    )

    def complete(session: Session) -> None:
        if rows.repeated:
            _verify_repeats(session, job.request_id)
        if earlier:
            earlier.write_removed(session, job.request_id)
        _insert_slices(session, job, _slice_size(job, slice_size))
        for check in conditions:
            check(session)
        add_values(session, {JOBS_ACCEPTED.sample(): 1})

    if dialect.name == "postgresql":
        _create_at_once(job, sealed, rows, images, complete)
    else:
        _create_in_parts(job, sealed, rows, images, complete)


def _create_at_once(
    job: NewJob,
    sealed: str | None,
    rows: ImageRows,
    images: Iterable[ImageColumns],
    complete: Condition,
) -> None:
    with writing() as session:
        _insert_job(session, job, sealed)
        copy_rows(session.connection(), rows, images)
        complete(session)


def _create_in_parts(
    job: NewJob,
    sealed: str | None,
    rows: ImageRows,
    images: Iterable[ImageColumns],
    complete: Condition,
) -> None:
    # A part is read from the file before its transaction begins.
    parts = rows.blocks(images, PART_ROWS)
    first = next(parts)
    with writing() as session:
        _insert_job(session, job, sealed)
        insert_rows(session.connection(), first)
        if job.total_images <= PART_ROWS:
            complete(session)
            return
        due_at = _hide(session, job.request_id)
    for part in yield_write_lock(prefetch(parts)):
        with writing() as session:
            due_at = _keep_hidden(session, job.request_id, due_at)
            insert_rows(session.connection(), part)
    with writing() as session:
        _show(session, job.request_id, due_at)
        complete(session)


def _insert_job(session: Session, job: NewJob, sealed: str | None) -> None:
    session.execute(
        insert(JobRequest).values(
            **asdict(job) | {"webhook_secret": None},
            sealed_secret=sealed,
            status=JobStatus.PENDING,
            created_at=NOW,
            updated_at=NOW,
        )
    )


# Most images of a job with an earlier one need only a request, and a claim costs as much as thirty
# of those. So its slices are larger, as long as there are enough of them for several workers.
UNCHANGED_SLICES = 4
LEAST_SLICES = 8


def _slice_size(job: NewJob, size: int) -> int:
    if job.since_id is None:
        return size
    return max(size, min(UNCHANGED_SLICES * size, job.total_images // LEAST_SLICES))


def _insert_slices(session: Session, job: NewJob, size: int) -> None:
    """Write the slices of a job by one statement: a million images have 16,000 of them."""
    slices = -(-job.total_images // size)
    counted = select(literal(0).label("slice_no")).cte(recursive=True)
    counted = counted.union_all(
        select(counted.c.slice_no + 1).where(counted.c.slice_no < slices - 1)
    )
    first = counted.c.slice_no * size
    last = case((counted.c.slice_no == slices - 1, job.total_images - 1), else_=first + size - 1)
    session.execute(
        insert(JobSlice).from_select(
            ["request_id", "slice_no", "first_ordinal", "last_ordinal", "state"],
            select(
                literal(job.request_id, Uuid),
                counted.c.slice_no,
                first,
                last,
                literal(SliceState.QUEUED.value),
            ),
        )
    )


def _verify_repeats(session: Session, request_id: UUID) -> None:
    """Correct images whose hash equals another's but whose text differs: they are no duplicates."""
    image, first = CompressedImage, aliased(CompressedImage)
    of_first = (
        select(_wanted(first))
        .where(first.request_id == request_id, first.ordinal == image.duplicate_of)
        .scalar_subquery()
    )
    session.execute(
        update(image)
        .where(
            image.request_id == request_id,
            image.duplicate_of.is_not(None),
            _wanted(image) != of_first,
        )
        .values(duplicate_of=None)
        .execution_options(synchronize_session=False)
    )


def _wanted(image: type[CompressedImage]) -> ColumnElement[str]:
    """Return the key shared by images that are fetched and compressed only once."""
    return image.input_url.concat(" ").concat(func.coalesce(cast(image.options, Text), ""))


def _hide(session: Session, request_id: UUID) -> datetime:
    """Mark the job as deleted from a time on, which each part postpones; return that time."""
    due_at = utcnow() + timedelta(seconds=PART_SECONDS)
    session.execute(insert(JobDeletion).values(request_id=request_id, due_at=due_at))
    return due_at


def _keep_hidden(session: Session, request_id: UUID, due_at: datetime) -> datetime:
    later = utcnow() + timedelta(seconds=PART_SECONDS)
    _demand(
        rowcount(
            session.execute(
                update(JobDeletion)
                .where(JobDeletion.request_id == request_id, JobDeletion.due_at == due_at)
                .values(due_at=later)
            )
        )
    )
    return later


def _show(session: Session, request_id: UUID, due_at: datetime) -> None:
    _demand(
        rowcount(
            session.execute(
                delete(JobDeletion).where(
                    JobDeletion.request_id == request_id, JobDeletion.due_at == due_at
                )
            )
        )
    )


def _demand(changed: int) -> None:
    if not changed:
        raise LedgerUnavailable(detail="recovery deleted a job whose writer it took for dead")
