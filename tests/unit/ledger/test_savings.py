"""The sums of what jobs saved."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

from flask import Flask
from sqlalchemy import update

from imgcompress.ledger.deletion import purge_job, soft_delete, soft_delete_all
from imgcompress.ledger.jobs import cancel_job, retry_job
from imgcompress.ledger.models import JobRequest, utcnow
from imgcompress.ledger.savings import savings
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import pending_images

from .conftest import MakeJob
from tests.support.parallel import in_parallel
from tests.support.records import Files, claim, failure, record, success

TODAY = utcnow().date()
NOTHING = (0, 0, 0, 0)


def sums(owner: str | None = None) -> tuple[tuple[int, ...], dict[str, int]]:
    """Return jobs, images, bytes before and after, and the failures by code."""
    found = savings(owner, TODAY - timedelta(days=1), TODAY + timedelta(days=1))
    counts, failures = Counter[str](), Counter[str]()
    for day in found.values():
        counts.update(day.sums)
        failures.update(day.failures)
    names = ("jobs", "images", "input_bytes", "output_bytes")
    return tuple(counts[name] for name in names), dict(failures)


def work(request_id: UUID) -> UUID:
    """Compress two of three images; the third fails."""
    held = claim(request_id)
    one, two, three = pending_images(held)
    record(held, success(one), success(two), failure(three))
    return request_id


def test_a_job_counts_when_it_ends(make_job: MakeJob) -> None:
    request_id = make_job(3)
    assert sums() == (NOTHING, {})
    work(request_id)
    assert sums() == ((1, 2, 2000, 800), {"source_status": 1})


def test_sums_stay_when_the_job_is_deleted(make_job: MakeJob) -> None:
    erasure = soft_delete(work(make_job(3)), None)
    assert erasure and purge_job(erasure, Files())
    assert sums() == ((1, 2, 2000, 800), {"source_status": 1})


def test_a_retried_job_counts_once(make_job: MakeJob) -> None:
    request_id = work(make_job(3))
    assert retry_job(request_id)
    assert sums() == (NOTHING, {"source_status": 0})
    held = claim(request_id)
    record(held, *(success(image) for image in pending_images(held)))
    assert sums() == ((1, 3, 3000, 1200), {"source_status": 0})
    assert not retry_job(request_id)
    assert sums() == ((1, 3, 3000, 1200), {"source_status": 0})


def test_a_job_that_ended_before_there_were_sums_is_not_taken_out(make_job: MakeJob) -> None:
    request_id = work(make_job(3))
    with writing() as session:
        session.execute(update(JobRequest).values(counted=False))
    assert retry_job(request_id)
    assert sums() == ((1, 2, 2000, 800), {"source_status": 1})


def test_the_finished_images_of_a_cancelled_job_count(make_job: MakeJob) -> None:
    jobs = [make_job(2), make_job(2)]
    for request_id in jobs:
        held = claim(request_id)
        record(held, success(pending_images(held)[0]))
    cancel_job(jobs[0])
    assert len(soft_delete_all(None)) == 2
    assert sums() == ((2, 2, 2000, 800), {})


def test_each_owner_has_sums_of_its_own(make_job: MakeJob) -> None:
    work(make_job(3, owner="one"))
    work(make_job(3, owner="two"))
    assert sums("one") == ((1, 2, 2000, 800), {"source_status": 1})
    assert sums() == ((2, 4, 4000, 1600), {"source_status": 2})


def test_jobs_that_end_together_all_count(app: Flask, make_job: MakeJob) -> None:
    jobs = [make_job(3) for _ in range(6)]

    def end(number: int) -> None:
        with app.app_context():
            work(jobs[number])

    in_parallel(end, 6)
    assert sums() == ((6, 12, 12_000, 4_800), {"source_status": 6})
