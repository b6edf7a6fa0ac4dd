"""The savings of jobs by day and owner: sums that stay when the jobs are deleted.

A job counts on the day of its last end. A retry removes it from the sums until it ends again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import UTC, date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Date, String, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..extensions import Base
from .models import JobFailure, JobRequest
from .session import insert_into, reading

SUMMED = (
    "jobs",
    "images",
    "failed_images",
    "unchanged_images",
    "input_bytes",
    "output_bytes",
    "bytes_not_downloaded",
)


class DailySavings(Base):
    """The jobs of one owner that ended on one day (UTC)."""

    __tablename__ = "daily_savings"

    # The name of the API key; empty if the service requires none.
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    jobs: Mapped[int]
    images: Mapped[int] = mapped_column(BigInteger)
    failed_images: Mapped[int] = mapped_column(BigInteger)
    unchanged_images: Mapped[int] = mapped_column(BigInteger)
    input_bytes: Mapped[int] = mapped_column(BigInteger)
    output_bytes: Mapped[int] = mapped_column(BigInteger)
    bytes_not_downloaded: Mapped[int] = mapped_column(BigInteger)


class DailyFailures(Base):
    """The images of one owner's jobs that failed for one reason, by the day the jobs ended."""

    __tablename__ = "daily_failures"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    images: Mapped[int] = mapped_column(BigInteger)


class Savings(NamedTuple):
    """The sums of one period: those in SUMMED, and failed images by code."""

    sums: Counter[str]
    failures: Counter[str]


def add_ended(session: Session, request_ids: Collection[UUID]) -> None:
    """Count jobs that this transaction has ended."""
    _add(session, _swap(session, request_ids, counted=True), 1)


def remove_ended(session: Session, request_id: UUID) -> None:
    """Subtract a job that is to be reopened from the sums, while its row has the time of its end.

    A job that ended before there were sums is in none.
    """
    _add(session, _swap(session, [request_id], counted=False), -1)


def _swap(session: Session, request_ids: Collection[UUID], *, counted: bool) -> list[UUID]:
    """Mark ended jobs as in the sums, or not; return those that changed."""
    job = JobRequest
    return list(
        session.scalars(
            update(job)
            .where(
                job.request_id.in_(request_ids),
                job.counted.is_not(counted),
                job.finished_at.is_not(None),
            )
            .values(counted=counted)
            .returning(job.request_id)
            .execution_options(synchronize_session=False)
        )
    )


def _add(session: Session, request_ids: Collection[UUID], sign: int) -> None:
    """Add jobs to the sums, or subtract them; all transactions lock these in one order."""
    if not request_ids:
        return
    job = JobRequest
    sums: dict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    failures: Counter[tuple[str, date, str]] = Counter()
    of_job: dict[UUID, tuple[str, date]] = {}
    row: Any
    for row in session.execute(
        select(
            job.request_id,
            func.coalesce(job.owner, ""),
            job.finished_at,
            job.completed_images,
            job.failed_images,
            job.unchanged_images,
            job.input_bytes,
            job.output_bytes,
            job.bytes_not_downloaded,
        ).where(job.request_id.in_(request_ids))
    ):
        request_id, owner, ended, *counts = row
        key = of_job[request_id] = owner, ended.astimezone(UTC).date()
        sums[key].update(dict(zip(SUMMED, (1, *counts), strict=True)))
    for request_id, code, images in session.execute(
        select(JobFailure.request_id, JobFailure.code, func.sum(JobFailure.images))
        .where(JobFailure.request_id.in_(of_job))
        .group_by(JobFailure.request_id, JobFailure.code)
    ):
        failures[*of_job[request_id], code] += images
    for (owner, day), counts in sorted(sums.items()):
        values = {name: sign * counts[name] for name in SUMMED}
        session.execute(
            insert_into(session, DailySavings)
            .values(owner=owner, day=day, **values)
            .on_conflict_do_update(
                index_elements=("owner", "day"),
                set_={name: getattr(DailySavings, name) + value for name, value in values.items()},
            )
        )
    for (owner, day, code), images in sorted(failures.items()):
        session.execute(
            insert_into(session, DailyFailures)
            .values(owner=owner, day=day, code=code, images=sign * images)
            .on_conflict_do_update(
                index_elements=("owner", "day", "code"),
                set_={"images": DailyFailures.images + sign * images},
            )
        )


def savings(owner: str | None, first: date, last: date) -> dict[date, Savings]:
    """Return the sums of an owner for each day on which jobs ended; None for all owners."""
    found: dict[date, Savings] = {}
    with reading() as session:
        for table, names in ((DailySavings, SUMMED), (DailyFailures, ("code", "images"))):
            columns = [getattr(table, name) for name in names]
            of_owner = () if owner is None else (table.owner == owner,)
            rows = session.execute(
                select(table.day, *columns).where(table.day.between(first, last), *of_owner)
            )
            for day, *values in rows:
                entry = found.setdefault(day, Savings(Counter(), Counter()))
                if table is DailySavings:
                    entry.sums.update(dict(zip(SUMMED, values, strict=True)))
                else:
                    entry.failures[values[0]] += values[1]
    return dict(sorted(found.items()))
