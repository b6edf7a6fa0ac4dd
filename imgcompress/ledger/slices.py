"""Slices: reserve them for publication, claim them under a lease, hand them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from .fairness import is_ahead
from .jobs import start_job
from .leases import end_leases, job_is_active
from .models import CompressedImage, JobRequest, JobSlice
from .sessions import reading, rowcount, writing
from .states import ImageStatus, SliceState
from .types import is_due, utcnow


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


@dataclass(frozen=True)
class PendingImage:
    """One image of a claimed slice that is still to be done."""

    image_id: UUID
    ordinal: int
    row_number: int
    input_url: str
    attempts: int
    has_duplicates: bool
    waits: int = 0
    options: dict[str, Any] | None = None


def reserve_slices(request_id: UUID, ahead: int) -> list[int]:
    """Mark the next slices as published, so that up to `ahead` stand unclaimed in the queue.

    Return their numbers; the caller publishes them, and takes back with `release_reservations`
    what it could not publish.
    """
    with writing() as session:
        standing = session.scalar(
            select(func.count()).where(JobSlice.request_id == request_id,
                                       JobSlice.state == SliceState.QUEUED,
                                       JobSlice.published_at.is_not(None)))
        room = ahead - (standing or 0)
        return _mark_published(session, request_id, room) if room > 0 else []


def _mark_published(session: Session, request_id: UUID, room: int) -> list[int]:
    now = utcnow()
    waiting = (
        select(JobSlice.slice_no)
        .where(JobSlice.request_id == request_id, *_publishable(), job_is_active())
        .order_by(JobSlice.slice_no).limit(room))
    rows = session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == request_id, JobSlice.slice_no.in_(waiting), *_publishable())
        .values(published_at=now)
        .returning(JobSlice.slice_no)
        .execution_options(synchronize_session=False))
    return sorted(rows.scalars())


def _publishable() -> tuple[ColumnElement[bool], ...]:
    return (JobSlice.state == SliceState.QUEUED, JobSlice.published_at.is_(None),
            is_due(JobSlice.not_before))


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
        claimed = (_swap_to_leased(session, request_id, slice_no, lease_seconds, holder)
                   or _take_over(session, request_id, slice_no, lease_seconds, holder))
        if claimed is None:
            session.rollback()  # A job does not start by a claim that failed.
            return None
        job = session.execute(
            select(JobRequest.options, JobRequest.base_url)
            .where(JobRequest.request_id == request_id)).one()
    return Claim(request_id, slice_no, claimed.attempt, claimed.crashes, claimed.first_ordinal,
                 claimed.last_ordinal, job.options, job.base_url, started)


def _take_over(session: Session, request_id: UUID, slice_no: int, seconds: float,
               holder: str | None) -> Any:
    """Claim a slice whose lease has run out."""
    if end_leases(session, JobSlice.request_id == request_id, JobSlice.slice_no == slice_no,
                  JobSlice.lease_until < utcnow()):
        return _swap_to_leased(session, request_id, slice_no, seconds, holder)
    return None


def _swap_to_leased(session: Session, request_id: UUID, slice_no: int, seconds: float,
                    holder: str | None) -> Any:
    return session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == request_id, JobSlice.slice_no == slice_no,
               JobSlice.state == SliceState.QUEUED, is_due(JobSlice.not_before), job_is_active())
        .values(state=SliceState.LEASED, attempt=JobSlice.attempt + 1, holder=holder,
                lease_until=utcnow() + timedelta(seconds=seconds))
        .returning(JobSlice.attempt, JobSlice.crashes, JobSlice.first_ordinal,
                   JobSlice.last_ordinal)
        .execution_options(synchronize_session=False)).one_or_none()


def pending_images(claim: Claim) -> list[PendingImage]:
    """Return the slice's images that are to be fetched now, in their order."""
    image = CompressedImage
    with reading() as session:
        rows = session.execute(
            select(image.image_id, image.ordinal, image.row_number, image.input_url,
                   image.attempts, image.waits, image.options)
            .where(image.request_id == claim.request_id,
                   image.ordinal.between(claim.first_ordinal, claim.last_ordinal),
                   image.status == ImageStatus.PENDING, image.duplicate_of.is_(None),
                   is_due(image.not_before))
            .order_by(image.ordinal)).all()
        repeated = set(session.scalars(
            select(image.duplicate_of).distinct()
            .where(image.request_id == claim.request_id,
                   image.duplicate_of.between(claim.first_ordinal, claim.last_ordinal))))
    return [PendingImage(**row._mapping, has_duplicates=row.ordinal in repeated) for row in rows]


def release_slice(claim: Claim, *, delay_seconds: float = 0.0) -> bool:
    """End a claim: DONE when none of its images is PENDING, else back to QUEUED.

    The slice is due again after `delay_seconds`, and not before the first of its images is due.
    Return whether the claim still stood.
    """
    with writing() as session:
        return release(session, claim, delay_seconds)


def release(session: Session, claim: Claim, delay_seconds: float) -> bool:
    """End a claim inside a transaction; see release_slice()."""
    pending, due = _pending_and_due(session, claim)
    if delay_seconds:
        due = max(due or utcnow(), utcnow() + timedelta(seconds=delay_seconds))
    state = SliceState.QUEUED if pending else SliceState.DONE
    return bool(rowcount(session.execute(
        update(JobSlice)
        .where(JobSlice.request_id == claim.request_id, JobSlice.slice_no == claim.slice_no,
               JobSlice.attempt == claim.attempt, JobSlice.state == SliceState.LEASED)
        .values(state=state, lease_until=None, published_at=None, not_before=due, holder=None)
        .execution_options(synchronize_session=False))))


def _pending_and_due(session: Session, claim: Claim) -> tuple[int, datetime | None]:
    """Count the PENDING images, and tell when the first is due: None when one is due at once."""
    image = CompressedImage
    count, scheduled, due = session.execute(
        select(func.count(), func.count(image.not_before), func.min(image.not_before))
        .where(image.request_id == claim.request_id,
               image.ordinal.between(claim.first_ordinal, claim.last_ordinal),
               image.status == ImageStatus.PENDING, image.duplicate_of.is_(None))).one()
    return count, due if scheduled == count else None
