"""The outbox: events written in the transaction that causes them, for webhooks and e-mails.

Payloads and the URLs of images belong to the API, not to the ledger: the application passes
functions that make them, as a `Presentation`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from ..extensions import current_extension
from .clock import NOW
from .models import (
    ACTIVE_JOB,
    Channel,
    CompressedImage,
    DeliveryState,
    ImageStatus,
    JobFailure,
    JobRequest,
    WebhookDelivery,
)
from .receivers import MAIL_SERVER, receiver_of

EXTENSION = "presentation"
MAX_IMAGES = 1000
FAILURES_IN_MAIL = 20


class DoneImage(NamedTuple):
    """A finished image, and its unsigned URL if it is compressed."""

    input_url: str
    image_url: str | None
    status: str


class ImageUrl(Protocol):
    """Returns the unsigned URL of an image of a job whose links begin with `base_url`."""

    def __call__(
        self,
        base_url: str,
        image_id: UUID,
        *,
        input_url: str,
        output_name: str | None,
        position: int,
        extension: str,
    ) -> str: ...


@dataclass(frozen=True)
class Presentation:
    """The functions that make URLs of images, and the payloads of webhooks and e-mails."""

    image_url: ImageUrl
    webhook_payload: Callable[[JobRequest, Sequence[DoneImage]], str]
    mail_payload: Callable[[JobRequest, Sequence[JobFailure]], str]


def presentation() -> Presentation:
    """Return the functions of the running application."""
    bound: Presentation = current_extension(EXTENSION)
    return bound


def add_event(session: Session, request_id: UUID) -> None:
    """Put the job's new status into the outbox: for its webhook, and at its end for its e-mail.

    It runs in the transaction that changes the status, so that each change has exactly one event.
    """
    job = session.execute(
        select(JobRequest)
        .where(JobRequest.request_id == request_id)
        .execution_options(populate_existing=True)
    ).scalar_one()
    deliveries = []
    if job.webhook_url is not None:
        deliveries.append(
            {
                "channel": Channel.WEBHOOK,
                "receiver": receiver_of(job.webhook_url, job.owner),
                "payload": presentation().webhook_payload(job, _done_images(session, job)),
            }
        )
    if job.email is not None and job.status not in ACTIVE_JOB:
        deliveries.append(
            {
                "channel": Channel.EMAIL,
                "receiver": MAIL_SERVER,
                "payload": presentation().mail_payload(job, _failures(session, job)),
            }
        )
    for delivery in deliveries:
        session.execute(
            insert(WebhookDelivery).values(
                id=f"msg_{uuid4().hex}",
                request_id=job.request_id,
                epoch=job.epoch,
                event=f"job.{job.status.lower()}",
                state=DeliveryState.PENDING,
                created_at=NOW,
                next_attempt_at=NOW,
                owner=job.owner,
                **delivery,
            )
        )


def _done_images(session: Session, job: JobRequest) -> list[DoneImage]:
    """Return the first finished images, in order."""
    image = CompressedImage
    rows = session.execute(
        select(image.input_url, image.image_url, image.status)
        .where(image.request_id == job.request_id, image.status != ImageStatus.PENDING)
        .order_by(image.ordinal)
        .limit(MAX_IMAGES)
    )
    return [DoneImage(*row) for row in rows]


def _failures(session: Session, job: JobRequest) -> list[JobFailure]:
    """Return the most frequent failures."""
    return list(
        session.scalars(
            select(JobFailure)
            .where(JobFailure.request_id == job.request_id)
            .order_by(JobFailure.images.desc(), JobFailure.example_row)
            .limit(FAILURES_IN_MAIL)
        )
    )
