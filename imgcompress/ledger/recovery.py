"""Find what was lost and make it good; harmless when two run at once."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import exists, func, select, update

from .clock import from_now
from .counters import Counter, count
from .fairness import DUE
from .jobs import close_if_finished, lock_job
from .leases import job_is_active
from .models import CompressedImage, JobRequest, JobSlice
from .sessions import reading, writing
from .states import ACTIVE_JOB, ImageStatus, JobStatus, SliceState


def forget_lost_messages(in_queue: int, *, older_than: float) -> int:
    """Unpublish slices whose messages were lost, so that they are published again.

    `in_queue` is the number of messages that the broker held a moment ago. While it is not less
    than the number of slices that were published over `older_than` seconds ago and stand
    unclaimed, the queue is merely long. When it is less, some were lost and nobody knows which:
    all are published again, and then the queue is no shorter than the ledger says. A copy of a
    message that was not lost does no harm. Return how many there were.
    """
    standing = (JobSlice.state == SliceState.QUEUED,
                JobSlice.published_at < from_now(-older_than), job_is_active())
    with writing() as session:
        published = session.scalar(select(func.count()).where(*standing)) or 0
        if published <= in_queue:
            return 0
        session.execute(update(JobSlice).where(*standing).values(published_at=None)
                        .execution_options(synchronize_session=False))
        count(session, Counter.MESSAGES_LOST, published - in_queue)
        return published


def jobs_to_publish(limit: int) -> list[UUID]:
    """Return active jobs that have due slices nobody has published: the oldest of each owner first.

    Then the second of each, and so on: whoever has many jobs takes the place of nobody else.
    """
    # A scalar subquery is one look into an index for each job; of EXISTS, SQLite makes a walk over
    # all slices that wait, again for each job (seconds for 3,000 jobs, measured).
    waiting = (select(func.min(JobSlice.slice_no))
               .where(JobSlice.request_id == JobRequest.request_id, *DUE,
                      JobSlice.published_at.is_(None))
               .correlate(JobRequest).scalar_subquery())
    place = func.row_number().over(partition_by=JobRequest.owner, order_by=JobRequest.created_at)
    with reading() as session:
        return list(session.scalars(
            select(JobRequest.request_id)
            .where(JobRequest.status.in_(ACTIVE_JOB), waiting.is_not(None))
            .order_by(place, JobRequest.created_at).limit(limit)))


def close_finished_jobs() -> int:
    """Close running jobs that have nothing PENDING; return how many there were."""
    pending = exists().where(CompressedImage.request_id == JobRequest.request_id,
                             CompressedImage.status == ImageStatus.PENDING)
    with reading() as session:
        finished = list(session.scalars(
            select(JobRequest.request_id)
            .where(JobRequest.status == JobStatus.PROCESSING, ~pending)))
    return sum(_close(request_id) for request_id in finished)


def _close(request_id: UUID) -> bool:
    with writing() as session:
        return lock_job(session, request_id) and close_if_finished(session, request_id)
