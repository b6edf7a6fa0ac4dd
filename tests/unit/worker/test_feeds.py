"""Runs of feeds against an origin: a job, no job for a table that has not changed, a failure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from imgcompress.ledger.feeds import NewFeed, create_feed, delete_feed, find_feed, run_feed_now
from imgcompress.ledger.models import Feed, JobRequest, JobStatus
from imgcompress.ledger.queries import find_job
from imgcompress.ledger.session import writing
from imgcompress.worker import feeds, intake

from ..conftest import MakeApp
from tests.origin import PlainOrigin

HEADER = b"S. No.,Product Name,Input Image Urls\r\n"
ROW = b"1,SKU1,https://shop.test/1.jpg\r\n"
READING = {
    "wishes": {
        "url_columns": [],
        "name_column": None,
        "id_column": None,
        "base_url": None,
        "encoding": None,
        "row_options": False,
        "skip_bad_rows": False,
    },
    "sheet": None,
    "output": "append",
}


@pytest.fixture
def app(ledger_url: str, make_app: MakeApp) -> Iterator[Flask]:
    """Return an application that fetches from this machine, and has no broker."""
    app = make_app(
        worker=True,
        database_url=ledger_url,
        celery_broker_url="redis://127.0.0.1:1/0",
        allowed_private_networks=(ip_network("127.0.0.1/32"),),
        allowed_ports=((1, 65_535),),
    )
    with app.app_context():
        yield app


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin with a table that has an ETag."""
    with PlainOrigin({"/a.csv": (200, "text/csv", HEADER + ROW)}) as origin:
        origin.headers["/a.csv"] = {"ETag": '"v1"'}
        yield origin


def new_feed(origin: PlainOrigin) -> UUID:
    """Create a feed of the origin's table."""
    new = NewFeed(origin.url("/a.csv"), 3600, {"quality": 60}, READING, "http://service.test")
    return create_feed(new, 10).feed_id


def run(feed_id: UUID) -> Feed:
    """Have a feed run now, and return how it is then."""
    run_feed_now(feed_id, None)
    feeds.run_feeds.run()
    found = find_feed(feed_id, None)
    assert found
    return found


def test_a_run_makes_a_job_only_of_a_changed_table(app: Flask, origin: PlainOrigin) -> None:
    feed_id = new_feed(origin)
    first = run(feed_id)
    assert (first.last_outcome, first.error_code) == ("job", None) and first.last_request_id
    job = find_job(first.last_request_id)
    assert job and (job.source_filename, job.total_images) == ("a.csv", 1)
    assert (job.since_id, job.options) == (None, {"quality": 60})
    _end_jobs()

    second = run(feed_id)
    assert (second.last_outcome, second.last_request_id) == ("not_modified", job.request_id)
    assert origin.requests[-1].headers["if-none-match"] == '"v1"'

    origin.files["/a.csv"] = (200, "text/csv", HEADER + ROW + b"2,SKU2,https://shop.test/2.jpg\r\n")
    origin.headers["/a.csv"] = {"ETag": '"v2"'}
    third = run(feed_id)
    assert third.last_outcome == "job" and third.last_request_id
    changed = find_job(third.last_request_id)
    assert changed and (changed.since_id, changed.total_images) == (job.request_id, 2)


def _end_jobs() -> None:
    with writing() as session:
        session.execute(update(JobRequest).values(status=JobStatus.COMPLETED))


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ((404, "text/plain", b""), "csv_url_unreachable", "404"),
        ((200, "text/html", b"<html>Sign in</html>"), "csv_url_not_a_table", "web page"),
        ((200, "text/csv", HEADER + b"1,A,/1.jpg\r\n"), "relative_url", "Row 2: "),
        ((200, "text/csv", b""), "empty_file", ""),
    ],
)
def test_a_failed_run_is_recorded_with_what_to_do(
    app: Flask, origin: PlainOrigin, answer: tuple[int, str, bytes], code: str, says: str
) -> None:
    origin.files["/a.csv"] = answer
    feed = run(new_feed(origin))
    assert (feed.last_outcome, feed.error_code, feed.last_request_id) == ("failed", code, None)
    assert feed.error_message and says in feed.error_message
    assert feed.held_until is None and feed.last_run_at and feed.next_run_at > feed.last_run_at


def test_a_feed_that_is_deleted_meanwhile_leaves_no_job_and_no_file(
    app: Flask, origin: PlainOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed_id = new_feed(origin)
    create = intake.create_job

    def delete_first(*args: object, **options: object) -> None:
        assert delete_feed(feed_id, None)
        create(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "create_job", delete_first)
    feeds.run_feeds.run()
    with writing() as session:
        assert session.query(JobRequest).count() == 0
    assert not list(tmp_path.rglob("*.csv"))
