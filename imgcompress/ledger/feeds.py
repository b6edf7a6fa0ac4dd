"""Feeds: tables that are fetched at fixed intervals, and whose changes become jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from ..errors import ImgcompressError
from .clock import NOW, from_now, now_in
from .models import (
    ACTIVE_JOB,
    ApiKey,
    Feed,
    FeedOutcome,
    FeedState,
    Installation,
    JobRequest,
    JobStatus,
)
from .queries import find_readable_job
from .session import insert_into, reading, rowcount, writing

MIN_EVERY, MAX_EVERY = timedelta(minutes=15), timedelta(days=30)
# A run fetches a table and writes its job. One that takes longer has died with its process.
LEASE = timedelta(minutes=15)
CANDIDATES = 20
# The row of the installation that is locked while a feed without an owner is created.
CREATING = "creating_feed"


class TooManyFeeds(ImgcompressError):
    """The owner has reached the limit of feeds."""

    code = "too_many_feeds"
    message = "You have reached the limit of feeds. Delete one that you no longer need."


class FeedPaused(ImgcompressError):
    """The feed is paused, and runs only after it has been resumed."""

    code = "feed_paused"
    message = "The feed is paused, so it was not run. Resume it first."


class RunLost(ImgcompressError):
    """The feed was deleted during its run, or another worker has claimed the run since."""

    code = "feed_run_lost"
    message = "The feed was deleted during its run."


@dataclass(frozen=True)
class NewFeed:
    """The feed that a caller creates; see Feed."""

    csv_url: str
    every_seconds: int
    options: dict[str, Any]
    reading: dict[str, Any]
    base_url: str
    owner: str | None = None
    webhook_url: str | None = None
    trust_seconds: int | None = None
    fresh: bool = False


def create_feed(new: NewFeed, most: int) -> Feed:
    """Write a feed, whose first run is due at once. Raise TooManyFeeds."""
    feed_id = uuid4()
    with writing() as session:
        # Concurrent calls of one owner are serialised here, so that they stay within the limit.
        session.execute(
            insert_into(session, Installation)
            .values(name=CREATING, value="")
            .on_conflict_do_update(index_elements=("name",), set_={"value": ""})
            if new.owner is None
            else select(ApiKey.name).where(ApiKey.name == new.owner).with_for_update()
        )
        number = session.scalar(select(func.count()).select_from(Feed).where(_of(new.owner)))
        if (number or 0) >= most:
            raise TooManyFeeds()
        now = now_in(session)
        feed = Feed(
            **vars(new),
            feed_id=feed_id,
            created_at=now,
            next_run_at=now,
            state=FeedState.ACTIVE,
            attempt=0,
        )
        session.add(feed)
    return feed


def list_feeds(owner: str | None) -> list[Feed]:
    """Return the feeds that an owner can see, the newest first; all of them for None."""
    with reading() as session:
        return list(
            session.scalars(
                select(Feed).where(*_seen_by(owner)).order_by(Feed.created_at.desc(), Feed.feed_id)
            )
        )


def find_feed(feed_id: UUID, owner: str | None) -> Feed | None:
    """Return a feed, or None when there is none that this owner can see."""
    with reading() as session:
        return session.scalar(select(Feed).where(Feed.feed_id == feed_id, *_seen_by(owner)))


def pause_feed(feed_id: UUID, owner: str | None) -> bool:
    """Stop further runs of a feed; return whether there is one. A run under way is completed."""
    return _change(feed_id, owner, state=FeedState.PAUSED)


def resume_feed(feed_id: UUID, owner: str | None) -> bool:
    """Let a paused feed run again, at once if it missed a run; return whether there is one."""
    return _change(feed_id, owner, state=FeedState.ACTIVE)


def run_feed_now(feed_id: UUID, owner: str | None) -> bool:
    """Make a feed due at once; return whether there is one. Raise FeedPaused."""
    if _change(feed_id, owner, Feed.state == FeedState.ACTIVE, next_run_at=NOW):
        return True
    if find_feed(feed_id, owner) is None:
        return False
    raise FeedPaused()


def delete_feed(feed_id: UUID, owner: str | None) -> bool:
    """Delete a feed; its jobs stay. Return whether there was one."""
    with writing() as session:
        return bool(
            rowcount(
                session.execute(
                    delete(Feed)
                    .where(Feed.feed_id == feed_id, *_seen_by(owner))
                    .execution_options(synchronize_session=False)
                )
            )
        )


def _change(
    feed_id: UUID, owner: str | None, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    with writing() as session:
        return bool(
            rowcount(
                session.execute(
                    update(Feed)
                    .where(Feed.feed_id == feed_id, *_seen_by(owner), *conditions)
                    .values(**values)
                    .execution_options(synchronize_session=False)
                )
            )
        )


def _of(owner: str | None) -> ColumnElement[bool]:
    return Feed.owner.is_(None) if owner is None else Feed.owner == owner


def _seen_by(owner: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if owner is None else (Feed.owner == owner,)


@dataclass(frozen=True)
class FeedRun:
    """The right to run a feed, as long as nobody else has claimed it since."""

    feed: Feed
    attempt: int
    next_run_at: datetime

    @property
    def validator(self) -> str | None:
        """Return the validator that lets an unchanged table be skipped, while its job is useful."""
        last = self.feed.last_request_id
        job = find_readable_job(last) if last else None
        usable = job is not None and job.status == JobStatus.COMPLETED
        return self.feed.validator if usable else None


def claim_due_feed() -> FeedRun | None:
    """Claim the feed that has been due for longest; None if none is due.

    A feed whose last job is still running waits, so that jobs do not pile up. The feeds of a
    revoked key do not run. A run counts only once finish_run() has recorded it: if a worker dies,
    it is repeated.
    """
    with reading() as session:
        feeds = session.scalars(
            select(Feed).where(*_is_due()).order_by(Feed.next_run_at).limit(CANDIDATES)
        ).all()
    return next((run for feed in feeds if (run := _claim(feed))), None)


def _is_due() -> tuple[ColumnElement[bool], ...]:
    running = exists().where(
        JobRequest.request_id == Feed.last_request_id, JobRequest.status.in_(ACTIVE_JOB)
    )
    revoked = exists().where(ApiKey.name == Feed.owner, ApiKey.revoked_at.is_not(None))
    return (
        Feed.state == FeedState.ACTIVE,
        Feed.next_run_at <= NOW,
        or_(Feed.held_until.is_(None), Feed.held_until < NOW),
        ~running.correlate(Feed),
        ~revoked.correlate(Feed),
    )


def _claim(feed: Feed) -> FeedRun | None:
    with writing() as session:
        claimed = rowcount(
            session.execute(
                update(Feed)
                .where(Feed.feed_id == feed.feed_id, Feed.attempt == feed.attempt, *_is_due())
                .values(attempt=Feed.attempt + 1, held_until=from_now(LEASE))
                .execution_options(synchronize_session=False)
            )
        )
        if not claimed:
            return None
        # This run makes up for all missed ones.
        every = timedelta(seconds=feed.every_seconds)
        missed = (now_in(session) - feed.next_run_at) // every
        return FeedRun(feed, feed.attempt + 1, feed.next_run_at + (missed + 1) * every)


def finish_run(session: Session, run: FeedRun, outcome: FeedOutcome, **values: Any) -> None:
    """Record how a run ended, and when the next one is due.

    With a job, `values` are its id and the validator of the table. Raise RunLost; the transaction
    must then be rolled back.
    """
    ended = rowcount(
        session.execute(
            update(Feed)
            .where(Feed.feed_id == run.feed.feed_id, Feed.attempt == run.attempt)
            .values(
                **{"error_code": None, "error_message": None} | values,
                last_outcome=outcome,
                last_run_at=NOW,
                next_run_at=run.next_run_at,
                held_until=None,
            )
            .execution_options(synchronize_session=False)
        )
    )
    if not ended:
        raise RunLost()


def finish_without_job(run: FeedRun, error: ImgcompressError | None = None) -> None:
    """Record that a run found the table unchanged, or its error. Raise RunLost."""
    with writing() as session:
        if error is None:
            finish_run(session, run, FeedOutcome.NOT_MODIFIED)
        else:
            finish_run(
                session,
                run,
                FeedOutcome.FAILED,
                error_code=error.code,
                error_message=error.message,
            )
