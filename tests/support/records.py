"""Short ways to read and write the ledger in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, select

from imgcompress.ledger.deletion import Held
from imgcompress.ledger.models import (
    CompressedImage,
    DeliveryAttempt,
    JobFailure,
    JobRequest,
    JobSlice,
    WebhookDelivery,
)
from imgcompress.ledger.results import Failure, Success, record_results
from imgcompress.ledger.session import reading
from imgcompress.ledger.slices import Claim, PendingImage, claim_slice

LEASE = 30.0
Row = TypeVar("Row")


class Files:
    """Takes note of the jobs, and of the keys, whose files are to be deleted.

    `act` is called in place of the deletion of a job, with what shows that it goes on.
    """

    def __init__(self, act: Callable[[Callable[[], None]], None] = lambda progressed: None) -> None:
        self._act = act
        self.deleted: list[UUID] = []
        self.keys: set[str] = set()

    def delete_job(
        self, request_id: UUID, epochs: int, held: Held, progressed: Callable[[], None]
    ) -> None:
        """See JobFiles."""
        self._act(progressed)
        self.deleted.append(request_id)
        self.epochs = epochs

    def delete(self, keys: Iterable[str]) -> None:
        """See JobFiles."""
        self.keys.update(keys)


def job_of(request_id: UUID) -> JobRequest:
    """Return the job's row."""
    with reading() as session:
        return session.get_one(JobRequest, request_id)


def _rows(query: Select[tuple[Row]]) -> list[Row]:
    with reading() as session:
        return list(session.scalars(query))


def images_of(request_id: UUID) -> list[CompressedImage]:
    """Return the job's images in their order."""
    return _rows(
        select(CompressedImage)
        .where(CompressedImage.request_id == request_id)
        .order_by(CompressedImage.ordinal)
    )


def slices_of(request_id: UUID) -> list[JobSlice]:
    """Return the job's slices in their order."""
    return _rows(
        select(JobSlice).where(JobSlice.request_id == request_id).order_by(JobSlice.slice_no)
    )


def failures_of(request_id: UUID) -> list[tuple[str, str, int, int]]:
    """Return the job's failure summary."""
    with reading() as session:
        return [
            (row.code, row.host, row.images, row.example_row)
            for row in session.scalars(
                select(JobFailure)
                .where(JobFailure.request_id == request_id)
                .order_by(JobFailure.code, JobFailure.found)
            )
        ]


def events_of(request_id: UUID) -> list[WebhookDelivery]:
    """Return the job's deliveries, oldest first."""
    return _rows(
        select(WebhookDelivery)
        .where(WebhookDelivery.request_id == request_id)
        .order_by(WebhookDelivery.created_at)
    )


def attempts_of(delivery_id: str) -> list[DeliveryAttempt]:
    """Return the attempts at a delivery, in their order."""
    return _rows(
        select(DeliveryAttempt)
        .where(DeliveryAttempt.delivery_id == delivery_id)
        .order_by(DeliveryAttempt.attempt)
    )


def claim(
    request_id: UUID, slice_no: int = 0, *, lease_seconds: float = LEASE, holder: str | None = None
) -> Claim:
    """Claim a slice that is to be had."""
    claimed = claim_slice(request_id, slice_no, lease_seconds=lease_seconds, holder=holder)
    assert claimed is not None
    return claimed


def success(image: PendingImage, *, input_bytes: int = 1000, output_bytes: int = 400) -> Success:
    """Return the result of an image that was compressed."""
    return Success(
        image,
        "target_met",
        input_bytes,
        output_bytes,
        20,
        10,
        "jpeg",
        "jpg",
        60,
        0.98,
        f"images/{image.image_id}.jpg",
    )


def failure(image: PendingImage, code: str = "source_status") -> Failure:
    """Return the result of an image that failed."""
    return Failure(image, code, "The server answered 404.")


def record(claimed: Claim, *results: Success | Failure) -> bool:
    """Record results; return whether that closed the job."""
    return record_results(claimed, results, lease_seconds=LEASE)
