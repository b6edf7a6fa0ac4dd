"""The task that runs due feeds: fetch each table, and make a job if it has changed."""

from __future__ import annotations

import logging
import time
from functools import partial
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from typing import Any
from uuid import UUID

from celery import shared_task

from ..config import Settings
from ..csvfile import BadCatalogue, CatalogueLimits, Table, Wishes, opened_table, validate_file
from ..errors import ImgcompressError, LedgerUnavailable
from ..extensions import current_settings
from ..ledger.bulk import time_ordered_ids
from ..ledger.feeds import FeedRun, RunLost, claim_due_feed, finish_run, finish_without_job
from ..ledger.intake import Condition, NewJob
from ..ledger.jobs import check_job_quota, check_quota
from ..ledger.models import FeedOutcome
from ..ledger.queries import find_readable_job
from ..ledger.slices import REQUEST_HEADERS
from ..logs import bind
from ..net.fetcher import Fetched
from ..storage import open_storage
from .intake import clean_name, fetch_table, fetched_name, kept_reading, take_in, url_error
from .process import stopping
from .queue import publish_slices

log = logging.getLogger(__name__)

# After this long, a task begins no further run; the next task continues.
TASK_SECONDS = 60.0
# Slow tables must leave threads for deliveries and recovery.
TASKS_AT_ONCE = 2
_tasks = BoundedSemaphore(TASKS_AT_ONCE)


class BadTable(ImgcompressError):
    """The fetched table is invalid; code and message are those of its first issue."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@shared_task(name="run_feeds")
def run_feeds() -> None:
    """Run the feeds that are due, one after the other."""
    if not _tasks.acquire(blocking=False):
        return
    try:
        until = time.monotonic() + TASK_SECONDS
        while time.monotonic() < until and not stopping() and (run := claim_due_feed()):
            run_feed(current_settings(), run)
    finally:
        _tasks.release()


def run_feed(settings: Settings, run: FeedRun) -> None:
    """Fetch the table of a feed, make a job of it if it has changed, and record the outcome.

    Raise LedgerUnavailable: the run is repeated when its lease has expired.
    """
    bind(feed_id=run.feed.feed_id)
    try:
        try:
            _run(settings, run)
        except (LedgerUnavailable, RunLost):
            raise
        except ImgcompressError as error:
            log.info("The run of a feed failed: %s", error)
            finish_without_job(run, error)
        except Exception:
            log.exception("The run of a feed failed")
            finish_without_job(run, ImgcompressError())
    except RunLost as error:
        log.info("%s", error.message)


def _run(settings: Settings, run: FeedRun) -> None:
    feed = run.feed
    if feed.owner is not None:
        check_job_quota(feed.owner, settings.max_active_jobs)
    with TemporaryFile() as file:
        headers = feed.options.get(REQUEST_HEADERS, {})
        fetched = fetch_table(settings, feed.csv_url, file, headers, run.validator)
        if fetched.not_modified:
            finish_without_job(run)
            return
        limits = CatalogueLimits(max_images=settings.max_images_per_job)
        try:
            with opened_table(
                file, limits, settings.max_upload_bytes, feed.reading["sheet"]
            ) as table:
                request_id = _make_job(settings, run, fetched, table, limits)
        except BadCatalogue as bad:
            raise BadTable(bad.issue.code, bad.issue.message) from bad
    publish_slices(request_id)


def _make_job(
    settings: Settings, run: FeedRun, fetched: Fetched, table: Table, limits: CatalogueLimits
) -> UUID:
    feed = run.feed
    wishes = wishes_of(feed.reading["wishes"])
    found = validate_file(table.csv, limits, partial(url_error, settings), wishes)
    if found.issues:
        first = found.issues[0]
        place = f"Row {first.row}: " if first.row else ""
        raise BadTable(first.code, place + first.message)
    last = feed.last_request_id
    job = NewJob(
        request_id=UUID(time_ordered_ids(1)[0]),
        source_filename=clean_name(fetched_name(fetched)),
        options=feed.options,
        base_url=settings.public_base_url or feed.base_url,
        total_rows=found.total_rows,
        total_images=found.total_images,
        reading=kept_reading(
            table, found, feed.reading["output"], feed.reading.get("output_columns")
        ),
        owner=feed.owner,
        webhook_url=feed.webhook_url,
        since_id=last if last and find_readable_job(last) else None,
        trust_seconds=feed.trust_seconds,
        fresh=feed.fresh,
        removed_images=0,
    )
    bind(request_id=job.request_id)
    # The run ends in the transaction that makes its job, so neither exists without the other.
    conditions: list[Condition] = [
        partial(
            finish_run,
            run=run,
            outcome=FeedOutcome.JOB,
            last_request_id=job.request_id,
            validator=fetched.validator,
        )
    ]
    if feed.owner is not None:
        conditions.append(partial(check_quota, owner=feed.owner, most=settings.max_active_jobs))
    take_in(settings, open_storage(settings), job, table, found, conditions)
    return job.request_id


def wishes_of(kept: dict[str, Any]) -> Wishes:
    """Return the instructions for reading a table that a feed has stored."""
    return Wishes(**kept | {"url_columns": tuple(kept["url_columns"])})
