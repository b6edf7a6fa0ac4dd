"""What became of a job's deliveries, for those who ask; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from .models import DeliveryAttempt, JobRequest, ReceiverCircuit, WebhookDelivery
from .sessions import reading
from .states import Channel


@dataclass(frozen=True)
class LoggedDelivery:
    """A delivery, where it goes, its attempts in their order, and its receiver's circuit."""

    delivery: WebhookDelivery
    target: str
    attempts: Sequence[DeliveryAttempt]
    circuit: ReceiverCircuit | None


def deliveries_of(job: JobRequest) -> list[LoggedDelivery]:
    """Return all deliveries of a job, the oldest first."""
    delivery = WebhookDelivery
    with reading() as session:
        rows = session.execute(
            select(delivery, ReceiverCircuit)
            .outerjoin(ReceiverCircuit, ReceiverCircuit.receiver == delivery.receiver)
            .where(delivery.request_id == job.request_id)
            .order_by(delivery.created_at, delivery.channel.desc())).all()
        attempts = _attempts(session, job.request_id)
    return [LoggedDelivery(row, _target(job, row), attempts.get(row.id, ()), circuit)
            for row, circuit in rows]


def last_delivery(request_id: UUID) -> WebhookDelivery | None:
    """Return the delivery of the job's last event, the webhook rather than the mail."""
    delivery = WebhookDelivery
    with reading() as session:
        return session.scalars(
            select(delivery).where(delivery.request_id == request_id)
            .order_by(delivery.epoch.desc(), delivery.created_at.desc(), delivery.channel.desc())
            .limit(1)).one_or_none()


def _attempts(session: Session, request_id: UUID) -> dict[str, list[DeliveryAttempt]]:
    attempt = DeliveryAttempt
    rows = session.scalars(
        select(attempt).join(WebhookDelivery, WebhookDelivery.id == attempt.delivery_id)
        .where(WebhookDelivery.request_id == request_id)
        .order_by(attempt.delivery_id, attempt.attempt))
    return {key: list(found) for key, found in groupby(rows, lambda row: row.delivery_id)}


def _target(job: JobRequest, delivery: WebhookDelivery) -> str:
    told = job.email if delivery.channel == Channel.EMAIL else job.webhook_url
    return told or ""
