"""Claim, renew, release and recover slices, shared fairly between owners and jobs.

A job may spread over every idle worker. But if others wait, no owner of jobs may hold two slices
more than a waiting one, however many jobs it has; the same holds among the jobs of one owner. So a
job whose origins hang cannot occupy all workers. A worker that waits for the last images of its
slices claims another slice meanwhile, from the owner and then the job with the fewest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from ..errors import LedgerUnavailable
from .clock import NOW, from_now, from_now_by, is_due, note_time
from .jobs import close_if_finished, lock_job, start_job
from .metrics import RecoveryCounter, count
from .models import (
    ACTIVE_JOB,
    IMAGES,
    JOBS,
    SLICES,
    CompressedImage,
    ImageStatus,
    JobRequest,
    JobSlice,
    JobStatus,
    SliceState,
    utcnow,
)
from .session import reading, rowcount, writing
from .unreadable import (
    UNREADABLE,
    replace_unreadable_fields,
    replace_unreadable_job_fields,
)


def lease_holders() -> list[str]:
    """Return the processes that hold leases of active jobs, as passed to `claim_slice`."""
    with reading() as session:
        return list(
            session.scalars(
                select(JobSlice.holder)
                .distinct()
                .where(
                    JobSlice.state == SliceState.LEASED,
                    JobSlice.holder.is_not(None),
                    job_is_active(),
                )
            )
        )


def expire_leases(dead: Collection[str] = ()) -> int:
    """Put every slice whose lease expired, or whose holder is dead, back to QUEUED.

    Return how many there were. If a holder is alive after all, its next write finds that the claim
    is lost.
    """
    ended = or_(JobSlice.lease_until < NOW, JobSlice.holder.in_(dead))
    with writing() as session:
        return end_leases(session, ended, dead=dead)


def end_leases(
    session: Session, *conditions: ColumnElement[bool], dead: Collection[str] = ()
) -> int:
    """Put the leased slices of active jobs that meet the conditions back to QUEUED.

    They may have killed their worker, so it counts as a crash if the holder is known to be `dead`,
    or if there was no progress. Otherwise the holder may only have been slow or cut off; and if an
    image does kill workers, eventually no other progress is left to be made before it. Return how
    many there were.
    """
    crashed = or_(JobSlice.holder.in_(dead), not_(JobSlice.progressed))
    ended = rowcount(
        session.execute(
            update(JobSlice)
            .where(JobSlice.state == SliceState.LEASED, *conditions, job_is_active())
            .values(
                state=SliceState.QUEUED,
                published_at=None,
                lease_until=None,
                holder=None,
                crashes=JobSlice.crashes + case((crashed, 1), else_=0),
            )
            .execution_options(synchronize_session=False)
        )
    )
    count(session, RecoveryCounter.LEASES_EXPIRED, ended)
    return ended


# One parameter for each: a list as one parameter would be parsed by each execution.
IS_ACTIVE = JOBS.c.status.in_([literal(status) for status in ACTIVE_JOB])


def job_is_active() -> ColumnElement[bool]:
    """Return the condition that a slice's job is active."""
    return exists().where(JOBS.c.request_id == SLICES.c.request_id, IS_ACTIVE).correlate(SLICES)


# An idle worker takes a message within milliseconds: an older message waits for a worker.
WAITS_AFTER = timedelta(seconds=1)

# The name of the API key; empty where none is asked for.
_OWNER = func.coalesce(JOBS.c.owner, "")
# The condition that a slice is due and not claimed. The state is a literal, so that the partial
# index of these slices applies: a job that is nearly done has thousands of others.
DUE = (
    SLICES.c.state == literal(SliceState.QUEUED.value, literal_execute=True),
    is_due(SLICES.c.not_before),
)


class _Held:
    """How many slices each job and each owner of jobs holds."""

    def __init__(self, session: Session) -> None:
        self.jobs: Counter[UUID] = Counter()
        self.owners: Counter[str] = Counter()
        for job, owner, slices in session.execute(_HELD):
            self.jobs[job] = slices
            self.owners[owner] += slices


_SLICES_OF_JOBS = SLICES.join(JOBS, JOBS.c.request_id == SLICES.c.request_id)
_HELD = (
    select(JOBS.c.request_id, _OWNER, func.count())
    .select_from(_SLICES_OF_JOBS)
    .where(SLICES.c.state == SliceState.LEASED, SLICES.c.lease_until > NOW)
    .group_by(JOBS.c.request_id, _OWNER)
)


def next_slice(but_not: Collection[UUID] = ()) -> tuple[UUID, int] | None:
    """Return the slice that a worker with spare capacity should claim, if there is one.

    It is the first due slice of the owner with the fewest claimed slices, of that owner's job with
    the fewest, and among several such jobs of the oldest. `but_not` lists jobs to skip.
    """
    with reading() as session:
        found = next(_next_slices(session, _Held(session), list(but_not)), None)
    return None if found is None else (found.request_id, found.slice_no)


def _next_slices(session: Session, held: _Held, but_not: list[UUID]) -> Iterator[Any]:
    """Yield due slices, the preferred one first."""
    passed_over = {"but_not": but_not}
    yield from session.execute(_OLDEST, passed_over | {"owners": list(held.owners)})
    for owner, _ in reversed(held.owners.most_common()):
        of_owner = {"owner": owner, "jobs": list(held.jobs)}
        yield from session.execute(_OLDEST_OF_OWNER, passed_over | of_owner)
        rows = session.execute(_IN_HAND_OF_OWNER, passed_over | of_owner).all()
        yield from sorted(rows, key=lambda row: held.jobs[row.request_id])


def _first_due(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Select jobs with due slices, the oldest first, and the first due slice of each."""
    # A scalar subquery is one index lookup for each job.
    first = (
        select(func.min(SLICES.c.slice_no))
        .where(SLICES.c.request_id == JOBS.c.request_id, *DUE)
        .correlate(JOBS)
        .scalar_subquery()
    )
    return (
        select(JOBS.c.request_id, first.label("slice_no"))
        .where(
            IS_ACTIVE,
            JOBS.c.request_id.not_in(_several("but_not")),
            *conditions,
            first.is_not(None),
        )
        .order_by(JOBS.c.created_at)
    )


def _several(name: str) -> Any:
    return bindparam(name, expanding=True)


_OLDEST = _first_due(_OWNER.not_in(_several("owners"))).limit(1)
_OLDEST_OF_OWNER = _first_due(
    _OWNER == bindparam("owner"), JOBS.c.request_id.not_in(_several("jobs"))
).limit(1)
_IN_HAND_OF_OWNER = _first_due(
    _OWNER == bindparam("owner"), JOBS.c.request_id.in_(_several("jobs"))
)


def exceeds_fair_share(request_id: UUID) -> bool:
    """Return whether a job should release one of its slices."""
    with reading() as session:
        return is_ahead(session, request_id, by=2)


def is_ahead(session: Session, request_id: UUID, *, by: int) -> bool:
    """Return whether a job's owner holds at least `by` slices more than a waiting owner.

    Or whether the job itself does, compared with a waiting job of the same owner.
    """
    held = _Held(session)
    owner = session.scalar(_OWNER_OF_JOB, {"job": request_id})
    jobs, owners = held.jobs[request_id] - by, held.owners[owner or ""] - by
    if owner is None or owners < 0:
        return False
    return bool(
        session.scalar(
            _WAITS_BEHIND,
            {
                "job": request_id,
                "waits": -WAITS_AFTER,
                "stranger_to": owner,
                "sibling_of": owner if jobs >= 0 else None,
                # Owners and jobs with more slices than that are not behind.
                "jobs": [job for job, slices in held.jobs.items() if slices > jobs],
                "owners": [name for name, slices in held.owners.items() if slices > owners],
            },
        )
    )


_OWNER_OF_JOB = select(_OWNER).where(JOBS.c.request_id == bindparam("job"))
_WAITS_BEHIND = select(
    exists()
    .select_from(_SLICES_OF_JOBS)
    .where(
        *DUE,
        SLICES.c.published_at < from_now_by("waits"),
        IS_ACTIVE,
        JOBS.c.request_id != bindparam("job"),
        or_(
            and_(_OWNER == bindparam("sibling_of"), JOBS.c.request_id.not_in(_several("jobs"))),
            and_(_OWNER != bindparam("stranger_to"), _OWNER.not_in(_several("owners"))),
        ),
    )
)


log = logging.getLogger(__name__)

# Among the options of a job: the request headers for its images, by name.
REQUEST_HEADERS = "request_headers"


@dataclass(frozen=True)
class Claim:
    """The right to work on one slice, as long as no later claim has raised `attempt`."""

    request_id: UUID
    slice_no: int
    attempt: int
    crashes: int
    first_ordinal: int
    last_ordinal: int
    options: dict[str, Any]
    base_url: str
    started_job: bool
    # The name of the API key; None if the service requires none.
    owner: str | None = None
    # The job's epoch, incremented by each retry.
    epoch: int = 1
    # The job whose results may be taken over, and how; see JobRequest.
    since_id: UUID | None = None
    trust_seconds: int | None = None
    fresh: bool = False
    # Whether the job says of its images what changed; None where it does not.
    removed_images: int | None = None

    @property
    def compares(self) -> bool:
        """Return whether the job reports the change of its images."""
        return self.removed_images is not None

    @property
    def readable(self) -> bool:
        """Return whether the job's row could be read; if not, its images must fail."""
        return UNREADABLE not in self.options

    @property
    def request_headers(self) -> dict[str, str]:
        """Return the request headers for the job's images."""
        headers: dict[str, str] = self.options.get(REQUEST_HEADERS, {})
        return headers

    def compression_of(self, image: PendingImage) -> dict[str, Any]:
        """Return the compression options of an image: those of its row, or else of its job."""
        options = self.options | (image.options or {})
        options.pop(REQUEST_HEADERS, None)
        return options


class PendingImage(NamedTuple):
    """One image of a claimed slice that is still to be done."""

    image_id: UUID
    ordinal: int
    row_number: int
    input_url: str
    attempts: int
    has_duplicates: bool
    waits: int = 0
    options: dict[str, Any] | None = None
    # Its position among its row's images, and the row's name for its files.
    position: int = 0
    output_name: str | None = None
    # The ordinal of the same image in the earlier job.
    earlier: int | None = None
    # Whether its row could be read; if not, the image must fail.
    readable: bool = True


def reserve_slices(request_id: UUID, ahead: int) -> list[int]:
    """Mark the next slices as published, so that up to `ahead` are unclaimed in the queue.

    Return their numbers; the caller publishes them, and calls `release_reservations` with those
    that it could not publish.
    """
    with writing() as session:
        standing = session.scalar(_STANDING, {"job": request_id})
        room = ahead - (standing or 0)
        if room <= 0:
            return []
        return sorted(session.scalars(_PUBLISH, {"job": request_id, "room": room}))


_OF_JOB = SLICES.c.request_id == bindparam("job")
_STANDING = select(func.count()).where(
    _OF_JOB, SLICES.c.state == SliceState.QUEUED, SLICES.c.published_at.is_not(None)
)
_PUBLISHABLE = (_OF_JOB, *DUE, SLICES.c.published_at.is_(None))
_FIRST_PUBLISHABLE = (
    select(SLICES.c.slice_no)
    .where(*_PUBLISHABLE, job_is_active())
    .order_by(SLICES.c.slice_no)
    .limit(bindparam("room", type_=Integer))
)
_PUBLISH = (
    update(SLICES)
    .where(SLICES.c.slice_no.in_(_FIRST_PUBLISHABLE), *_PUBLISHABLE)
    .values(published_at=NOW)
    .returning(SLICES.c.slice_no)
)


def release_reservations(request_id: UUID, slice_nos: Sequence[int]) -> None:
    """Cancel reservations whose messages could not be published, or must be ignored."""
    with writing() as session:
        _unpublish(session, request_id, slice_nos)


def _unpublish(session: Session, request_id: UUID, slice_nos: Sequence[int]) -> None:
    session.execute(
        update(JobSlice)
        .where(
            JobSlice.request_id == request_id,
            JobSlice.slice_no.in_(slice_nos),
            JobSlice.state == SliceState.QUEUED,
        )
        .values(published_at=None)
        .execution_options(synchronize_session=False)
    )


def claim_slice(
    request_id: UUID, slice_no: int, *, lease_seconds: float, holder: str | None = None
) -> Claim | None:
    """Claim the slice by compare-and-swap; return None if it is not available.

    A slice can be claimed if it is QUEUED and due, or if the lease of its claimant expired, and
    only while its job is active. If its job is ahead of one that waits for a worker, the slice is
    left to be published again by recovery or by the job's next slice that ends. A job whose row
    cannot be read is repaired, and its claims are not `readable`.
    """
    try:
        return _claim(request_id, slice_no, lease_seconds, holder)
    except LedgerUnavailable:
        raise
    except Exception:
        if not replace_unreadable_job_fields(request_id):
            raise
        return _claim(request_id, slice_no, lease_seconds, holder)


def _claim(
    request_id: UUID, slice_no: int, lease_seconds: float, holder: str | None
) -> Claim | None:
    with writing() as session:
        if is_ahead(session, request_id, by=1):
            _unpublish(session, request_id, [slice_no])
            return None
        started = start_job(session, request_id)
        lease = {
            "job": request_id,
            "slice": slice_no,
            "claimant": holder,
            "lease": timedelta(seconds=lease_seconds),
        }
        claimed = _swap_to_leased(session, lease) or _take_over(session, lease)
        if claimed is None:
            session.rollback()  # A failed claim does not start the job.
            return None
    return Claim(**claimed, started_job=started)


def _take_over(session: Session, lease: dict[str, Any]) -> dict[str, Any] | None:
    """Claim a slice whose lease has expired."""
    if end_leases(
        session,
        JobSlice.request_id == lease["job"],
        JobSlice.slice_no == lease["slice"],
        JobSlice.lease_until < NOW,
    ):
        return _swap_to_leased(session, lease)
    return None


def _swap_to_leased(session: Session, lease: dict[str, Any]) -> dict[str, Any] | None:
    """Claim a slice that is due; return the fields of a Claim."""
    began = utcnow()
    row = session.execute(_LEASE, lease).one_or_none()
    if row is None:
        return None
    fields = dict(row._mapping)
    note_time(began, fields.pop("now"))
    return fields


def _of_job(column: ColumnElement[Any]) -> ColumnElement[Any]:
    # Uses the parameter, since SQLite's RETURNING has the columns' names without their tables'.
    value = select(column).where(JOBS.c.request_id == bindparam("job")).scalar_subquery()
    return value.label(column.key)


_ITSELF = _OF_JOB, SLICES.c.slice_no == bindparam("slice")
_LEASE = (
    update(SLICES)
    .where(*_ITSELF, *DUE, job_is_active())
    .values(
        state=SliceState.LEASED,
        attempt=SLICES.c.attempt + 1,
        holder=bindparam("claimant"),
        lease_until=from_now_by("lease"),
        progressed=False,
    )
    # The columns of a Claim, and the time.
    .returning(
        SLICES.c.request_id,
        SLICES.c.slice_no,
        SLICES.c.attempt,
        SLICES.c.crashes,
        SLICES.c.first_ordinal,
        SLICES.c.last_ordinal,
        _of_job(JOBS.c.options),
        _of_job(JOBS.c.base_url),
        _of_job(JOBS.c.owner),
        _of_job(JOBS.c.epoch),
        _of_job(JOBS.c.since_id),
        _of_job(JOBS.c.trust_seconds),
        _of_job(JOBS.c.fresh),
        _of_job(JOBS.c.removed_images),
        NOW.label("now"),
    )
)


def pending_images(claim: Claim) -> list[PendingImage]:
    """Return the slice's images that are to be fetched now, in order.

    An image whose row cannot be read is included, as not `readable`.
    """
    try:
        return _pending(_images_of(claim))
    except LedgerUnavailable:
        raise
    except Exception as error:
        log.error(
            "Images of slice %d of job %s cannot be read: %s",
            claim.slice_no,
            claim.request_id,
            error,
        )
        return _each_pending(claim)


def _pending(images: dict[str, Any]) -> list[PendingImage]:
    with reading() as session:
        rows = session.execute(_PENDING_IMAGES, images)
        return [PendingImage(*row) for row in rows]


def _each_pending(claim: Claim) -> list[PendingImage]:
    """Return the pending images, each one read by itself."""
    images: list[PendingImage] = []
    for ordinal in range(claim.first_ordinal, claim.last_ordinal + 1):
        mended = replace_unreadable_fields(claim.request_id, ordinal)
        images += [
            image._replace(readable=not mended)
            for image in _pending({"job": claim.request_id, "first": ordinal, "last": ordinal})
        ]
    return images


def _images_of(claim: Claim) -> dict[str, Any]:
    return {"job": claim.request_id, "first": claim.first_ordinal, "last": claim.last_ordinal}


_PENDING = (
    IMAGES.c.request_id == bindparam("job"),
    IMAGES.c.ordinal.between(bindparam("first"), bindparam("last")),
    IMAGES.c.status == ImageStatus.PENDING,
    IMAGES.c.duplicate_of.is_(None),
)
_REPEATED = select(IMAGES.c.duplicate_of).where(
    IMAGES.c.request_id == bindparam("job"),
    IMAGES.c.duplicate_of.between(bindparam("first"), bindparam("last")),
)
# The columns of a PendingImage, in its order.
_PENDING_IMAGES = (
    select(
        IMAGES.c.image_id,
        IMAGES.c.ordinal,
        IMAGES.c.row_number,
        IMAGES.c.input_url,
        IMAGES.c.attempts,
        IMAGES.c.ordinal.in_(_REPEATED),
        IMAGES.c.waits,
        IMAGES.c.options,
        IMAGES.c.position,
        IMAGES.c.output_name,
        IMAGES.c.earlier,
    )
    .where(*_PENDING, is_due(IMAGES.c.not_before))
    .order_by(IMAGES.c.ordinal)
)


def release_slice(claim: Claim, *, delay_seconds: float = 0.0) -> bool:
    """End a claim: DONE if none of its images is PENDING, else back to QUEUED.

    The slice is due again after `delay_seconds`, and not before the first of its images is due.
    Return whether the claim was still valid.
    """
    with writing() as session:
        return release(session, claim, delay_seconds)


def release(session: Session, claim: Claim, delay_seconds: float) -> bool:
    """End a claim inside a transaction; see release_slice()."""
    count, scheduled, due, now = session.execute(_PENDING_AND_DUE, _images_of(claim)).one()
    if scheduled < count:
        due = None  # One of its images is due at once.
    if delay_seconds:
        delayed = now + timedelta(seconds=delay_seconds)
        due = max(due or delayed, delayed)
    return bool(
        rowcount(
            session.execute(
                _RELEASE,
                fence_of(claim)
                | {"due": due, "next": SliceState.QUEUED if count else SliceState.DONE},
            )
        )
    )


def fence_of(claim: Claim) -> dict[str, Any]:
    """Return the parameters of CLAIM_STANDS."""
    return {"job": claim.request_id, "slice": claim.slice_no, "fence": claim.attempt}


# The condition that a claim's slice was neither released nor claimed by another worker since.
CLAIM_STANDS = (
    *_ITSELF,
    SLICES.c.attempt == bindparam("fence"),
    SLICES.c.state == SliceState.LEASED,
)
_PENDING_AND_DUE = select(
    func.count(), func.count(IMAGES.c.not_before), func.min(IMAGES.c.not_before), NOW
).where(*_PENDING)
_RELEASE = (
    update(SLICES)
    .where(*CLAIM_STANDS)
    .values(
        state=bindparam("next"),
        not_before=bindparam("due"),
        lease_until=None,
        published_at=None,
        holder=None,
    )
)


def republish_lost_slices(in_queue: int, *, older_than: float) -> int:
    """Mark slices whose messages were lost as unpublished, so that they are published again.

    `in_queue` is the number of messages that the broker held a moment ago. If it is at least the
    number of slices that were published over `older_than` seconds ago and are unclaimed, the queue
    is only long. If it is less, some messages were lost, and it is unknown which: all are published
    again, and then the queue is no shorter than in the ledger. A copy of a message that was not
    lost does no harm. Return how many there were.
    """
    standing = (
        JobSlice.state == SliceState.QUEUED,
        JobSlice.published_at < from_now(-older_than),
        job_is_active(),
    )
    with writing() as session:
        published = session.scalar(select(func.count()).where(*standing)) or 0
        if published <= in_queue:
            return 0
        session.execute(
            update(JobSlice)
            .where(*standing)
            .values(published_at=None)
            .execution_options(synchronize_session=False)
        )
        count(session, RecoveryCounter.MESSAGES_LOST, published - in_queue)
        return published


def jobs_to_publish(limit: int) -> list[UUID]:
    """Return active jobs that have due slices nobody has published: the oldest of each owner first.

    Then the second of each, and so on: an owner of many jobs does not displace others.
    """
    # A scalar subquery is one index lookup for each job; for EXISTS, SQLite scans all waiting
    # slices, again for each job (seconds for 3,000 jobs, measured).
    waiting = (
        select(func.min(JobSlice.slice_no))
        .where(JobSlice.request_id == JobRequest.request_id, *DUE, JobSlice.published_at.is_(None))
        .correlate(JobRequest)
        .scalar_subquery()
    )
    place = func.row_number().over(partition_by=JobRequest.owner, order_by=JobRequest.created_at)
    with reading() as session:
        return list(
            session.scalars(
                select(JobRequest.request_id)
                .where(JobRequest.status.in_(ACTIVE_JOB), waiting.is_not(None))
                .order_by(place, JobRequest.created_at)
                .limit(limit)
            )
        )


def close_finished_jobs() -> int:
    """Close running jobs with nothing PENDING; return how many there were."""
    pending = exists().where(
        CompressedImage.request_id == JobRequest.request_id,
        CompressedImage.status == ImageStatus.PENDING,
    )
    with reading() as session:
        finished = list(
            session.scalars(
                select(JobRequest.request_id).where(
                    JobRequest.status == JobStatus.PROCESSING, ~pending
                )
            )
        )
    closed = 0
    for request_id in finished:
        with writing() as session:
            closed += lock_job(session, request_id) and close_if_finished(session, request_id)
    return closed
