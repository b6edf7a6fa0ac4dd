"""Gauges for operators: how much work waits, how long it has waited, and what is suspended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, union
from sqlalchemy.orm import Session

from .clock import now_in
from .metrics import recovery_age
from .models import (
    ACTIVE_JOB,
    Channel,
    DeliveryState,
    HostCircuit,
    JobRequest,
    JobSlice,
    JobStatus,
    OwnerCircuit,
    ReceiverCircuit,
    SliceState,
    WebhookDelivery,
)
from .session import reading
from .slices import job_is_active


class Backlog(StrEnum):
    """The unfinished slices of active jobs, by state."""

    WAITING = "waiting"
    PUBLISHED = "published"
    LEASED = "leased"


@dataclass(frozen=True)
class Gauges:
    """The state of the ledger at one moment; ages are in seconds, and 0 when there is nothing."""

    jobs: dict[JobStatus, int]
    slices: dict[Backlog, int]
    deliveries: dict[Channel, int]
    queue_lag: float
    oldest_slice: float
    oldest_delivery: float
    suspended_hosts: int
    suspended_receivers: int
    # None if recovery has never run.
    recovery_age: float | None


def oldest_slice_seconds() -> float:
    """Return how long the slice that has waited longest has made no progress."""
    with reading() as session:
        now = now_in(session)
        return max(_queue_lag(session, now), _longest_still(session, now))


def read_gauges() -> Gauges:
    """Read all gauges, without reading single images."""
    age = recovery_age()
    with reading() as session:
        now = now_in(session)
        jobs = _counts(session, JobRequest.status)
        mails = _counts(
            session, WebhookDelivery.channel, WebhookDelivery.state == DeliveryState.PENDING
        )
        due = session.scalar(
            select(func.min(WebhookDelivery.next_attempt_at)).where(
                WebhookDelivery.state == DeliveryState.PENDING
            )
        )
        lag = _queue_lag(session, now)
        return Gauges(
            jobs={status: jobs.get(status, 0) for status in JobStatus},
            slices=_backlog(session),
            deliveries={channel: mails.get(channel, 0) for channel in Channel},
            queue_lag=lag,
            oldest_slice=max(lag, _longest_still(session, now)),
            oldest_delivery=_age(due, now),
            suspended_hosts=_hosts_left_alone(session, now),
            suspended_receivers=_receivers_left_alone(session, now),
            recovery_age=age,
        )


def _counts(session: Session, column: Any, *conditions: Any) -> dict[str, int]:
    rows = session.execute(select(column, func.count()).where(*conditions).group_by(column))
    return {value: number for value, number in rows}


def _backlog(session: Session) -> dict[Backlog, int]:
    published = JobSlice.published_at.is_not(None)
    rows = session.execute(
        select(JobSlice.state, published, func.count())
        .where(JobSlice.state.in_([SliceState.QUEUED, SliceState.LEASED]), job_is_active())
        .group_by(JobSlice.state, published)
    )
    backlog = dict.fromkeys(Backlog, 0)
    for state, is_published, number in rows:
        queued = Backlog.PUBLISHED if is_published else Backlog.WAITING
        backlog[Backlog.LEASED if state == SliceState.LEASED else queued] += number
    return backlog


def _queue_lag(session: Session, now: datetime) -> float:
    """Return how long the oldest message has waited for a worker."""
    published = session.scalar(
        select(func.min(JobSlice.published_at)).where(
            JobSlice.state == SliceState.QUEUED, job_is_active()
        )
    )
    return _age(published, now)


def _longest_still(session: Session, now: datetime) -> float:
    """Return the longest time for which an active job has made no progress."""
    moved = session.scalar(
        select(func.min(JobRequest.updated_at)).where(JobRequest.status.in_(ACTIVE_JOB))
    )
    return _age(moved, now)


def _hosts_left_alone(session: Session, now: datetime) -> int:
    """Count the suspended hosts: for all owners or for some."""
    open_ones = union(
        *(
            select(circuit.authority).where(circuit.open_until > now)
            for circuit in (HostCircuit, OwnerCircuit)
        )
    ).subquery()
    return session.scalar(select(func.count()).select_from(open_ones)) or 0


def _receivers_left_alone(session: Session, now: datetime) -> int:
    return (
        session.scalar(
            select(func.count())
            .select_from(ReceiverCircuit)
            .where(ReceiverCircuit.open_until > now)
        )
        or 0
    )


def _age(time: datetime | None, now: datetime) -> float:
    return max(0.0, (now - time).total_seconds()) if time else 0.0
