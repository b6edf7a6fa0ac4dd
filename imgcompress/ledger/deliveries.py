"""Claim the deliveries that are due, record their attempts, and list them for callers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import insert, literal, select, update
from sqlalchemy.orm import Session

from ..metrics import DELIVERIES_ENDED
from .clock import NOW, from_now
from .metrics import add_values
from .models import (
    Channel,
    DeliveryAttempt,
    DeliveryState,
    JobRequest,
    ReceiverCircuit,
    WebhookDelivery,
)
from .receivers import (
    AT_ONCE,
    CONCURRENCY_WHILE_FAILING,
    MAIL_SERVER,
    close_circuit,
    count_failure,
    first_due,
    lock_receiver,
    note_answer,
    turns,
    under_way,
)
from .seals import unseal
from .session import reading, rowcount, writing

# A delivery overdue for this long at a failing receiver has failed.
LONGEST_WAIT = timedelta(days=1)
# How many receivers are tried, since other workers may have taken their last places meanwhile.
TURNS = 20


@dataclass(frozen=True)
class DueDelivery:
    """A claimed delivery: what to send and where.

    `target` is a URL or an address. `attempt` is the fencing token, and `step` the number of this
    attempt in the schedule (1..).
    """

    id: str
    request_id: UUID
    channel: Channel
    receiver: str
    target: str
    payload: str
    attempt: int
    step: int
    plain_secret: str | None = field(repr=False)
    sealed_secret: str | None = field(default=None, repr=False)

    @property
    def secret(self) -> str | None:
        """Return the secret of the upload, if it had one. Raise SealBroken."""
        return unseal(self.sealed_secret) if self.sealed_secret else self.plain_secret


def claimable(limit: int) -> int:
    """Return the number of attempts that can start now, `limit` at most."""
    return min(sum(turn.room for turn in turns(limit)), limit)


def claim_due(hold_seconds: Mapping[Channel, float]) -> DueDelivery | None:
    """Claim the next delivery for one attempt; return None if there is none.

    If the attempt is never recorded, the delivery is due again after the `hold_seconds` of its
    channel.
    """
    for turn in turns(TURNS):
        claimed = _claim(turn.receiver, hold_seconds)
        if claimed is not None:
            return claimed
    return None


def _claim(receiver: str, hold_seconds: Mapping[Channel, float]) -> DueDelivery | None:
    """Claim the due delivery of this receiver if its limit allows.

    The lock of the receiver's row makes the count of running attempts exact.
    """
    channel = Channel.EMAIL if receiver == MAIL_SERVER else Channel.WEBHOOK
    with writing() as session:
        failures = lock_receiver(session, receiver)
        row = (
            None
            if failures is None
            else _swap_to_held(
                session,
                receiver,
                CONCURRENCY_WHILE_FAILING if failures else AT_ONCE,
                hold_seconds[channel],
            )
        )
        if row is None:
            session.rollback()
            return None
        job = session.execute(
            select(
                JobRequest.webhook_url,
                JobRequest.email,
                JobRequest.webhook_secret,
                JobRequest.sealed_secret,
            ).where(JobRequest.request_id == row.request_id)
        ).one()
        session.execute(
            insert(DeliveryAttempt).values(delivery_id=row.id, attempt=row.attempts, started_at=NOW)
        )
    target = job.email if channel == Channel.EMAIL else job.webhook_url
    return DueDelivery(
        row.id,
        row.request_id,
        channel,
        receiver,
        target or "",
        row.payload,
        row.attempts,
        row.step,
        job.webhook_secret,
        job.sealed_secret,
    )


def _swap_to_held(session: Session, receiver: str, at_once: int, hold_seconds: float) -> Any:
    delivery = WebhookDelivery
    held_until = from_now(hold_seconds)
    return session.execute(
        update(delivery)
        .where(
            delivery.id == first_due(receiver).scalar_subquery(),
            under_way(literal(receiver)).scalar_subquery() < at_once,
        )
        .values(
            attempts=delivery.attempts + 1,
            step=delivery.step + 1,
            held_until=held_until,
            next_attempt_at=held_until,
        )
        .returning(
            delivery.id, delivery.request_id, delivery.payload, delivery.attempts, delivery.step
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()


def record_delivered(delivery: DueDelivery, *, seconds: float, status: int | None) -> bool:
    """Record that the receiver accepted the event; return whether the claim was still valid."""
    with writing() as session:
        note_answer(session, delivery.receiver)
        close_circuit(session, delivery.receiver)
        return _record(
            session,
            delivery,
            seconds,
            status,
            None,
            state=DeliveryState.DELIVERED,
            delivered_at=NOW,
            next_attempt_at=None,
        )


def record_undelivered(
    delivery: DueDelivery,
    *,
    seconds: float,
    status: int | None,
    error: str,
    next_in: float | None,
    receiver_failing: bool,
    unanswered: bool = False,
) -> bool:
    """Record a failed attempt; without `seconds` to the next one, the delivery has FAILED.

    `receiver_failing`: the failure concerns the receiver as a whole, not only this delivery;
    `unanswered`: it concerns the receiver's host as a whole. Return whether the claim was still
    valid; if not, nothing is written.
    """
    state = DeliveryState.FAILED if next_in is None else DeliveryState.PENDING
    with writing() as session:
        if status is not None:
            note_answer(session, delivery.receiver)
        if receiver_failing:
            count_failure(session, delivery.receiver, unanswered=unanswered)
        else:
            close_circuit(session, delivery.receiver)
        return _record(
            session,
            delivery,
            seconds,
            status,
            error,
            state=state,
            next_attempt_at=None if next_in is None else from_now(next_in),
        )


def _record(
    session: Session,
    delivery: DueDelivery,
    seconds: float,
    status: int | None,
    error: str | None,
    *,
    state: DeliveryState,
    **values: object,
) -> bool:
    recorded = rowcount(
        session.execute(
            update(WebhookDelivery)
            .where(
                WebhookDelivery.id == delivery.id,
                WebhookDelivery.attempts == delivery.attempt,
                WebhookDelivery.state == DeliveryState.PENDING,
            )
            .values(state=state, held_until=None, **values)
            .execution_options(synchronize_session=False)
        )
    )
    if not recorded:
        session.rollback()
        return False
    session.execute(
        update(DeliveryAttempt)
        .where(
            DeliveryAttempt.delivery_id == delivery.id, DeliveryAttempt.attempt == delivery.attempt
        )
        .values(seconds=seconds, response_status=status, error=error)
    )
    if state != DeliveryState.PENDING:
        add_values(session, {DELIVERIES_ENDED.sample(delivery.channel, state): 1})
    return True


def redeliver(delivery_id: str) -> bool:
    """Make a delivery due now, with its whole schedule and the same id.

    Its receiver's circuit is closed, since the caller expects it to work. A running attempt is not
    disturbed. Return whether there is such a delivery.
    """
    delivery = WebhookDelivery
    with writing() as session:
        receiver = session.scalar(select(delivery.receiver).where(delivery.id == delivery_id))
        if receiver is None:
            return False
        close_circuit(session, receiver)
        session.execute(
            update(delivery)
            .where(
                delivery.id == delivery_id,
                delivery.held_until.is_(None) | (delivery.held_until <= NOW),
            )
            .values(state=DeliveryState.PENDING, next_attempt_at=NOW, step=0, held_until=None)
            .execution_options(synchronize_session=False)
        )
    return True


def fail_suspended_deliveries() -> int:
    """Fail deliveries that waited too long for a failing receiver; return their number."""
    delivery, circuit = WebhookDelivery, ReceiverCircuit
    resting = select(circuit.receiver).where(circuit.open_until > NOW, ~circuit.waits_for_host)
    with writing() as session:
        channels = Counter(
            session.scalars(
                update(delivery)
                .where(
                    delivery.state == DeliveryState.PENDING,
                    delivery.next_attempt_at < from_now(-LONGEST_WAIT),
                    delivery.receiver.in_(resting),
                )
                .values(state=DeliveryState.FAILED, next_attempt_at=None, held_until=None)
                .returning(delivery.channel)
                .execution_options(synchronize_session=False)
            )
        )
        add_values(
            session,
            {
                DELIVERIES_ENDED.sample(channel, DeliveryState.FAILED): number
                for channel, number in channels.items()
            },
        )
    return channels.total()


@dataclass(frozen=True)
class LoggedDelivery:
    """A delivery, its target, its attempts in order, and its receiver's circuit."""

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
            .order_by(delivery.created_at, delivery.channel.desc())
        ).all()
        attempts = _attempts(session, job.request_id)
    targets = {Channel.EMAIL.value: job.email, Channel.WEBHOOK.value: job.webhook_url}
    return [
        LoggedDelivery(row, targets[row.channel] or "", attempts.get(row.id, ()), circuit)
        for row, circuit in rows
    ]


def _attempts(session: Session, request_id: UUID) -> dict[str, list[DeliveryAttempt]]:
    attempt = DeliveryAttempt
    rows = session.scalars(
        select(attempt)
        .join(WebhookDelivery, WebhookDelivery.id == attempt.delivery_id)
        .where(WebhookDelivery.request_id == request_id)
        .order_by(attempt.delivery_id, attempt.attempt)
    )
    return {key: list(found) for key, found in groupby(rows, lambda row: row.delivery_id)}
