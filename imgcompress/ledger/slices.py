"""Slices: reserve them for publication, claim them under a lease, hand them back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, bindparam, func, select, update
from sqlalchemy.orm import Session

from ..errors import LedgerUnavailable
from .clock import NOW, from_now_by, is_due, note_time
from .fairness import DUE, is_ahead
from .jobs import start_job
from .leases import end_leases, job_is_active
from .models import IMAGES, JOBS, SLICES, JobSlice
from .sessions import reading, rowcount, writing
from .states import ImageStatus, SliceState
from .types import utcnow
from .unreadable import mend_image

log = logging.getLogger(__name__)

# Among the options of a job: the headers that its images are asked for with, by their names.
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
    # The name of the API key; None where none is asked for.
    owner: str | None = None
    # Of the job, which each retry raises.
    epoch: int = 1

    @property
    def request_headers(self) -> dict[str, str]:
        """Return the headers that the job's images are asked for with."""
        headers: dict[str, str] = self.options.get(REQUEST_HEADERS, {})
        return headers

    def compression_of(self, image: PendingImage) -> dict[str, Any]:
        """Return how an image is to be compressed: as its row asks, and else as its job."""
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
    # Which of its row's images it is, and the name that the row gives to its files.
    position: int = 0
    output_name: str | None = None
    # Whether its row told all that is asked for; if not, the image is to fail.
    readable: bool = True


def reserve_slices(request_id: UUID, ahead: int) -> list[int]:
    """Mark the next slices as published, so that up to `ahead` stand unclaimed in the queue.

    Return their numbers; the caller publishes them, and takes back with `release_reservations`
    what it could not publish.
    """
    with writing() as session:
        standing = session.scalar(_STANDING, {"job": request_id})
        room = ahead - (standing or 0)
        if room <= 0:
            return []
        return sorted(session.scalars(_PUBLISH, {"job": request_id, "room": room}))


_OF_JOB = SLICES.c.request_id == bindparam("job")
_STANDING = select(func.count()).where(_OF_JOB, SLICES.c.state == SliceState.QUEUED,
                                       SLICES.c.published_at.is_not(None))
_PUBLISHABLE = (_OF_JOB, *DUE, SLICES.c.published_at.is_(None))
_FIRST_PUBLISHABLE = (select(SLICES.c.slice_no).where(*_PUBLISHABLE, job_is_active())
                      .order_by(SLICES.c.slice_no).limit(bindparam("room", type_=Integer)))
_PUBLISH = (update(SLICES).where(SLICES.c.slice_no.in_(_FIRST_PUBLISHABLE), *_PUBLISHABLE)
            .values(published_at=NOW).returning(SLICES.c.slice_no))


def release_reservations(request_id: UUID, slice_nos: Sequence[int]) -> None:
    """Take back reservations whose messages could not be published, or are not to be heeded."""
    with writing() as session:
        _unpublish(session, request_id, slice_nos)


def _unpublish(session: Session, request_id: UUID, slice_nos: Sequence[int]) -> None:
    session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == request_id, JobSlice.slice_no.in_(slice_nos),
               JobSlice.state == SliceState.QUEUED)
        .values(published_at=None)
        .execution_options(synchronize_session=False))


def claim_slice(request_id: UUID, slice_no: int, *, lease_seconds: float,
                holder: str | None = None) -> Claim | None:
    """Claim the slice by compare-and-swap; return None if it is not to be had.

    A slice can be claimed when it is QUEUED and due, or when the lease of its claimant ran out,
    and only while its job is active. Where its job is ahead of one that waits for a worker, the
    slice is left to be published again by recovery or by the job's next slice that ends.
    """
    with writing() as session:
        if is_ahead(session, request_id, by=1):
            _unpublish(session, request_id, [slice_no])
            return None
        started = start_job(session, request_id)
        lease = {"job": request_id, "slice": slice_no, "claimant": holder,
                 "lease": timedelta(seconds=lease_seconds)}
        claimed = _swap_to_leased(session, lease) or _take_over(session, lease)
        if claimed is None:
            session.rollback()  # A job does not start by a claim that failed.
            return None
    return Claim(**claimed, started_job=started)


def _take_over(session: Session, lease: dict[str, Any]) -> dict[str, Any] | None:
    """Claim a slice whose lease has run out."""
    if end_leases(session, JobSlice.request_id == lease["job"],
                  JobSlice.slice_no == lease["slice"], JobSlice.lease_until < NOW):
        return _swap_to_leased(session, lease)
    return None


def _swap_to_leased(session: Session, lease: dict[str, Any]) -> dict[str, Any] | None:
    """Claim a slice that is due; return what a Claim tells."""
    began = utcnow()
    row = session.execute(_LEASE, lease).one_or_none()
    if row is None:
        return None
    told = dict(row._mapping)
    note_time(began, told.pop("now"))
    return told


def _of_job(column: ColumnElement[Any]) -> ColumnElement[Any]:
    # By the parameter: in RETURNING, SQLite is told the columns' names without their tables'.
    value = select(column).where(JOBS.c.request_id == bindparam("job")).scalar_subquery()
    return value.label(column.key)


_ITSELF = _OF_JOB, SLICES.c.slice_no == bindparam("slice")
_LEASE = (
    update(SLICES)
    .where(*_ITSELF, *DUE, job_is_active())
    .values(state=SliceState.LEASED, attempt=SLICES.c.attempt + 1, holder=bindparam("claimant"),
            lease_until=from_now_by("lease"), progressed=False)
    # What a Claim tells, and the time.
    .returning(SLICES.c.request_id, SLICES.c.slice_no, SLICES.c.attempt, SLICES.c.crashes,
               SLICES.c.first_ordinal, SLICES.c.last_ordinal, _of_job(JOBS.c.options),
               _of_job(JOBS.c.base_url), _of_job(JOBS.c.owner), _of_job(JOBS.c.epoch),
               NOW.label("now")))


def pending_images(claim: Claim) -> list[PendingImage]:
    """Return the slice's images that are to be fetched now, in their order.

    An image whose row cannot be read is among them as one that is not `readable`.
    """
    try:
        return _pending(_images_of(claim))
    except LedgerUnavailable:
        raise
    except Exception as error:
        log.error("Images of slice %d of job %s cannot be read: %s", claim.slice_no,
                  claim.request_id, error)
        return _each_pending(claim)


def _pending(images: dict[str, Any]) -> list[PendingImage]:
    with reading() as session:
        rows = session.execute(_PENDING_IMAGES, images)
        return [PendingImage(*row) for row in rows]


def _each_pending(claim: Claim) -> list[PendingImage]:
    """Return the pending images, each one read by itself."""
    images: list[PendingImage] = []
    for ordinal in range(claim.first_ordinal, claim.last_ordinal + 1):
        mended = mend_image(claim.request_id, ordinal)
        images += [image._replace(readable=not mended) for image in _pending(
            {"job": claim.request_id, "first": ordinal, "last": ordinal})]
    return images


def _images_of(claim: Claim) -> dict[str, Any]:
    return {"job": claim.request_id, "first": claim.first_ordinal, "last": claim.last_ordinal}


_PENDING = (IMAGES.c.request_id == bindparam("job"),
            IMAGES.c.ordinal.between(bindparam("first"), bindparam("last")),
            IMAGES.c.status == ImageStatus.PENDING, IMAGES.c.duplicate_of.is_(None))
_REPEATED = select(IMAGES.c.duplicate_of).where(
    IMAGES.c.request_id == bindparam("job"),
    IMAGES.c.duplicate_of.between(bindparam("first"), bindparam("last")))
# What a PendingImage tells, in its order.
_PENDING_IMAGES = (
    select(IMAGES.c.image_id, IMAGES.c.ordinal, IMAGES.c.row_number, IMAGES.c.input_url,
           IMAGES.c.attempts, IMAGES.c.ordinal.in_(_REPEATED), IMAGES.c.waits, IMAGES.c.options,
           IMAGES.c.position, IMAGES.c.output_name)
    .where(*_PENDING, is_due(IMAGES.c.not_before)).order_by(IMAGES.c.ordinal))


def release_slice(claim: Claim, *, delay_seconds: float = 0.0) -> bool:
    """End a claim: DONE when none of its images is PENDING, else back to QUEUED.

    The slice is due again after `delay_seconds`, and not before the first of its images is due.
    Return whether the claim still stood.
    """
    with writing() as session:
        return release(session, claim, delay_seconds)


def release(session: Session, claim: Claim, delay_seconds: float) -> bool:
    """End a claim inside a transaction; see release_slice()."""
    count, scheduled, due, now = session.execute(_PENDING_AND_DUE, _images_of(claim)).one()
    if scheduled < count:
        due = None  # One of them is due at once.
    if delay_seconds:
        delayed = now + timedelta(seconds=delay_seconds)
        due = max(due or delayed, delayed)
    return bool(rowcount(session.execute(_RELEASE, fence_of(claim) | {
        "due": due, "next": SliceState.QUEUED if count else SliceState.DONE})))


def fence_of(claim: Claim) -> dict[str, Any]:
    """Return the parameters of CLAIM_STANDS."""
    return {"job": claim.request_id, "slice": claim.slice_no, "fence": claim.attempt}


# The condition that a claim's slice was neither claimed by another worker since nor handed back.
CLAIM_STANDS = (*_ITSELF, SLICES.c.attempt == bindparam("fence"),
                SLICES.c.state == SliceState.LEASED)
_PENDING_AND_DUE = select(func.count(), func.count(IMAGES.c.not_before),
                          func.min(IMAGES.c.not_before), NOW).where(*_PENDING)
_RELEASE = (
    update(SLICES)
    .where(*CLAIM_STANDS)
    .values(state=bindparam("next"), not_before=bindparam("due"), lease_until=None,
            published_at=None, holder=None))
