"""Status events: what a job tells of itself, put into the outbox as its status changes."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from .clock import NOW
from .models import JobRequest, WebhookDelivery
from .payloads import mail_payload, webhook_payload
from .receivers import MAIL_SERVER, receiver_of
from .states import ACTIVE_JOB, Channel, DeliveryState


def add_event(session: Session, request_id: UUID) -> None:
    """Put the job's new status into the outbox: for its webhook, and at its end for its e-mail.

    It runs in the transaction that changes the status, so that there is one event for each change
    and none without one.
    """
    job = session.execute(
        select(JobRequest).where(JobRequest.request_id == request_id)
        .execution_options(populate_existing=True)).scalar_one()
    deliveries = []
    if job.webhook_url is not None:
        deliveries.append({"channel": Channel.WEBHOOK,
                           "receiver": receiver_of(job.webhook_url, job.owner),
                           "payload": webhook_payload(session, job)})
    if job.email is not None and job.status not in ACTIVE_JOB:
        deliveries.append({"channel": Channel.EMAIL, "receiver": MAIL_SERVER,
                           "payload": mail_payload(session, job)})
    for delivery in deliveries:
        session.execute(insert(WebhookDelivery).values(
            id=f"msg_{uuid4().hex}", request_id=job.request_id, epoch=job.epoch,
            event=f"job.{job.status.lower()}", state=DeliveryState.PENDING, created_at=NOW,
            next_attempt_at=NOW, owner=job.owner, **delivery))
