"""Correct times that were written before the ledger's clock was set back, and are in the future.

No other code checks whether a time is plausible: most are compared for each image, by an index. So
every few seconds recovery looks for times that are further away than the longest pause the program
ever makes. These are wrong, and the work that waits for them becomes due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, select, update

from .clock import NOW, from_now
from .deletion import LAST_ROUND_AFTER
from .feeds import LEASE as FEED_LEASE
from .metrics import WRITTEN_EVERY, seconds_put_back
from .models import (
    ACTIVE_JOB,
    CompressedImage,
    DeliveryAttempt,
    DeliveryState,
    Feed,
    HostCircuit,
    ImageStatus,
    JobDeletion,
    JobRequest,
    JobSlice,
    OwnerCircuit,
    ReceiverCircuit,
    SliceState,
    WebhookDelivery,
)
from .receivers import LONGEST_PAUSE
from .results import LONGEST_POSTPONEMENT
from .session import reading, rowcount, writing

# A time being written may be read by a transaction that began a little later.
LEEWAY = timedelta(seconds=10)


@dataclass(frozen=True)
class Longest:
    """The longest pauses that follow from the settings, in seconds."""

    # A lease; on another machine it may be somewhat longer.
    lease: float
    # The suspension of a host, and the time of its next probe.
    suspension: float
    # An attempt at a delivery.
    hold: float
    # The pause between two attempts at a delivery.
    delivery: float


class _Rule(NamedTuple):
    """The rows that are wrong, and their new values."""

    table: Any
    wrong: ColumnElement[bool]
    right: dict[str, Any]


def correct_future_times(longest: Longest) -> int:
    """Make everything due that waits for an impossible time; return the number of rows."""
    # The images come first, because they are found by their slices.
    images = [_images_of(job) for job in _jobs_postponed_wrongly()]
    rules = [
        *_slices(longest),
        *_jobs(),
        *_circuits(longest),
        # A run is due at most an interval after the last one, or else when the feed was created.
        _Rule(Feed, _after(Feed.last_run_at, 0), {"next_run_at": NOW, "last_run_at": NOW}),
        _Rule(
            Feed,
            and_(Feed.last_run_at.is_(None), _after(Feed.next_run_at, 0)),
            {"next_run_at": NOW},
        ),
        _Rule(Feed, _after(Feed.held_until, FEED_LEASE), {"held_until": NOW}),
        *_deliveries(longest, stepped=seconds_put_back() > WRITTEN_EVERY),
    ]
    with reading() as session:
        # One round trip shows that no row is wrong.
        found = session.execute(select(*(exists().where(rule.wrong) for rule in rules))).one()
    wrong = [rule for rule, any_found in zip(rules, found, strict=True) if any_found]
    return sum(map(_apply, images + wrong))


def _apply(rule: _Rule) -> int:
    """Change rows of one table in a separate transaction, so that no order of locks matters."""
    with writing() as session:
        return rowcount(
            session.execute(
                update(rule.table)
                .where(rule.wrong)
                .values(rule.right)
                .execution_options(synchronize_session=False)
            )
        )


def _after(column: Any, span: float | timedelta) -> ColumnElement[bool]:
    """Return the condition that a time is further away than a span."""
    span = span if isinstance(span, timedelta) else timedelta(seconds=span)
    return and_(column.is_not(None), column > from_now(span + LEEWAY))


def _postponed_wrongly() -> ColumnElement[bool]:
    return and_(
        JobSlice.state == SliceState.QUEUED, _after(JobSlice.not_before, LONGEST_POSTPONEMENT)
    )


def _jobs_postponed_wrongly() -> list[UUID]:
    with reading() as session:
        return list(
            session.scalars(select(JobSlice.request_id).distinct().where(_postponed_wrongly()))
        )


def _images_of(request_id: UUID) -> _Rule:
    image = CompressedImage
    return _Rule(
        image,
        and_(
            image.request_id == request_id,
            image.status == ImageStatus.PENDING,
            _after(image.not_before, LONGEST_POSTPONEMENT),
        ),
        {"not_before": None},
    )


def _slices(longest: Longest) -> list[_Rule]:
    part = JobSlice
    queued, leased = part.state == SliceState.QUEUED, part.state == SliceState.LEASED
    return [
        _Rule(part, _postponed_wrongly(), {"not_before": None}),
        # A living worker renews its lease; the lease of a dead one expires.
        _Rule(
            part,
            and_(leased, _after(part.lease_until, 4 * longest.lease)),
            {"lease_until": from_now(longest.lease)},
        ),
        _Rule(part, and_(queued, _after(part.published_at, 0)), {"published_at": NOW}),
    ]


def _jobs() -> list[_Rule]:
    job, deletion = JobRequest, JobDeletion
    return [
        _Rule(
            job, and_(job.status.in_(ACTIVE_JOB), _after(job.updated_at, 0)), {"updated_at": NOW}
        ),
        _Rule(deletion, _after(deletion.due_at, LAST_ROUND_AFTER), {"due_at": NOW}),
    ]


def _deliveries(longest: Longest, *, stepped: bool) -> list[_Rule]:
    delivery, attempt = WebhookDelivery, DeliveryAttempt
    pending = delivery.state == DeliveryState.PENDING
    waiting = and_(pending, delivery.held_until.is_(None))
    due, held = {"next_attempt_at": NOW}, from_now(longest.hold)
    attempted_in_future = (
        exists()
        .where(
            attempt.delivery_id == delivery.id,
            attempt.attempt == delivery.attempts,
            _after(attempt.started_at, 0),
        )
        .correlate(delivery)
    )
    repeated = _Rule(
        delivery, and_(waiting, _after(delivery.next_attempt_at, 0), attempted_in_future), due
    )
    rules = [
        # The attempt may still be under way.
        _Rule(
            delivery,
            and_(pending, _after(delivery.held_until, longest.hold)),
            {"next_attempt_at": held, "held_until": held},
        ),
        _Rule(
            delivery, and_(waiting, delivery.step == 0, _after(delivery.next_attempt_at, 0)), due
        ),
        _Rule(delivery, and_(waiting, _after(delivery.next_attempt_at, longest.delivery)), due),
    ]
    # Pauses of hours are normal: only the last attempt shows which of them are wrong. It is looked
    # up only if a clock step is known to have happened.
    return [*rules, repeated] if stepped else rules


def _circuits(longest: Longest) -> list[_Rule]:
    receiver = ReceiverCircuit
    rules = [
        _Rule(receiver, _after(receiver.open_until, LONGEST_PAUSE), {"open_until": NOW}),
        _Rule(
            OwnerCircuit,
            _after(OwnerCircuit.probe_until, longest.suspension),
            {"probe_until": None},
        ),
    ]
    return rules + [
        _Rule(circuit, _after(circuit.open_until, longest.suspension), {"open_until": NOW})
        for circuit in (OwnerCircuit, HostCircuit)
    ]
