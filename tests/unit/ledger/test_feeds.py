"""Which feeds are due, and that each due run is made once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from imgcompress.ledger import clock
from imgcompress.ledger.api_keys import create_key, revoke_key
from imgcompress.ledger.clock_steps import Longest, correct_future_times
from imgcompress.ledger.feeds import (
    LEASE,
    FeedPaused,
    NewFeed,
    RunLost,
    TooManyFeeds,
    claim_due_feed,
    create_feed,
    delete_feed,
    find_feed,
    finish_run,
    finish_without_job,
    pause_feed,
    resume_feed,
    run_feed_now,
)
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import Feed, FeedOutcome, JobRequest, JobStatus
from imgcompress.ledger.session import writing

from .conftest import MakeJob
from tests.support.parallel import in_parallel

HOUR = timedelta(hours=1)


def new_feed(owner: str | None = None, most: int = 10) -> Feed:
    """Create a feed that runs each hour."""
    return create_feed(
        NewFeed("https://shop.test/a.csv", 3600, {}, {}, "http://service.test", owner), most
    )


def pass_time(monkeypatch: pytest.MonkeyPatch, span: timedelta) -> None:
    """Let the ledger's clock show a later time."""
    monkeypatch.setattr(clock, "ADVANCED", clock.ADVANCED + span)


def reread(feed: Feed) -> Feed:
    """Return the feed as it is now."""
    found = find_feed(feed.feed_id, None)
    assert found
    return found


def test_two_beats_make_one_run(app: Flask) -> None:
    feed = new_feed()

    def beat(_: int) -> Any:
        with app.app_context():
            return claim_due_feed()

    runs = [run for run in in_parallel(beat, 4) if run]
    assert [run.feed.feed_id for run in runs] == [feed.feed_id]


def test_callers_without_keys_stay_within_the_limit_together(app: Flask) -> None:
    def create(_: int) -> bool:
        with app.app_context():
            try:
                new_feed(most=2)
            except TooManyFeeds:
                return False
            return True

    assert sum(in_parallel(create, 6)) == 2


def test_a_feed_is_due_after_the_clock_was_set_back(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = new_feed()
    pass_time(monkeypatch, 5 * HOUR)
    run = claim_due_feed()
    assert run
    finish_without_job(run)
    never_run = new_feed()
    pass_time(monkeypatch, -5 * HOUR)
    assert claim_due_feed() is None
    assert correct_future_times(Longest(30, 60, 30, 3600)) == 2
    due = [claim_due_feed(), claim_due_feed()]
    assert {run.feed.feed_id for run in due if run} == {feed.feed_id, never_run.feed_id}
    assert correct_future_times(Longest(30, 60, 30, 3600)) == 0


def test_missed_runs_are_made_up_once_and_the_rhythm_is_kept(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = new_feed()
    pass_time(monkeypatch, 5 * HOUR + HOUR / 2)
    run = claim_due_feed()
    assert run
    finish_without_job(run)
    assert claim_due_feed() is None
    after = reread(feed)
    assert after.last_outcome == FeedOutcome.NOT_MODIFIED
    assert after.next_run_at == feed.next_run_at + 6 * HOUR
    pass_time(monkeypatch, HOUR / 2 + timedelta(seconds=1))
    assert claim_due_feed()


def test_the_run_of_a_dead_worker_is_made_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_feed()
    first = claim_due_feed()
    assert first and claim_due_feed() is None
    pass_time(monkeypatch, LEASE + timedelta(seconds=1))
    second = claim_due_feed()
    assert second
    with pytest.raises(RunLost):
        finish_without_job(first)
    finish_without_job(second)


def test_a_run_waits_for_the_last_job(app: Flask, make_job: MakeJob) -> None:
    feed = new_feed()
    run = claim_due_feed()
    job = make_job(1)
    assert run
    with writing() as session:
        finish_run(session, run, FeedOutcome.JOB, last_request_id=job, validator='"v1"')
    assert run_feed_now(feed.feed_id, None)
    assert claim_due_feed() is None
    assert cancel_job(job)
    run = claim_due_feed()
    # The images of a cancelled job are not all done, so the table is needed though it is the same.
    assert run and run.validator is None
    with writing() as session:
        session.execute(update(JobRequest).values(status=JobStatus.COMPLETED))
    assert run.validator == '"v1"'


def test_a_paused_feed_is_not_run(app: Flask) -> None:
    feed = new_feed()
    assert pause_feed(feed.feed_id, None)
    assert claim_due_feed() is None
    with pytest.raises(FeedPaused):
        run_feed_now(feed.feed_id, None)
    assert resume_feed(feed.feed_id, None)
    assert claim_due_feed()


def test_a_feed_that_was_deleted_during_its_run_makes_nothing(app: Flask) -> None:
    feed = new_feed()
    run = claim_due_feed()
    assert run and delete_feed(feed.feed_id, None)
    with pytest.raises(RunLost), writing() as session:
        finish_run(session, run, FeedOutcome.JOB)


def test_feeds_per_owner_are_limited_and_end_with_the_key(app: Flask) -> None:
    create_key("anna")
    new_feed("anna", most=1)
    with pytest.raises(TooManyFeeds):
        new_feed("anna", most=1)
    revoke_key("anna")
    assert claim_due_feed() is None
