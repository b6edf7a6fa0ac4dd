"""A job: created whole, started once, closed once, cancelled for good."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import current_app
from sqlalchemy import update

from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.metrics import RecoveryCounter, read_counters
from imgcompress.ledger.models import ImageStatus, JobRequest, JobStatus, SliceState
from imgcompress.ledger.results import ClaimLost
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import Claim, claim_slice, pending_images

from .conftest import MakeJob
from tests.support.records import (
    claim,
    events_of,
    failure,
    images_of,
    job_of,
    record,
    slices_of,
    success,
)


def test_a_new_job_is_pending_with_all_its_images(make_job: MakeJob) -> None:
    request_id = make_job(120, slice_size=50)
    job, images = job_of(request_id), images_of(request_id)
    assert (job.status, job.total_images, job.completion_percentage) == ("PENDING", 120, 0)
    assert [image.ordinal for image in images] == list(range(120))
    assert {image.status for image in images} == {ImageStatus.PENDING}
    assert job.created_at.tzinfo is not None
    assert events_of(request_id) == []


def test_repeated_urls_point_at_their_first_image(make_job: MakeJob) -> None:
    request_id = make_job(["http://a/1", "http://a/2", "http://a/1", "http://a/1", "http://a/2"])
    assert [image.duplicate_of for image in images_of(request_id)] == [None, None, 0, 0, 1]


def test_the_first_claim_starts_the_job_and_reports_it(make_job: MakeJob) -> None:
    request_id = make_job(100, slice_size=50)
    assert claim(request_id, 0).started_job
    assert not claim(request_id, 1).started_job
    assert job_of(request_id).status == JobStatus.PROCESSING
    assert [event.event for event in events_of(request_id)] == ["job.processing"]


def test_the_last_result_completes_the_job_and_reports_it(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    first, second = pending_images(claimed)
    assert record(claimed, success(first)) is False
    assert job_of(request_id).completion_percentage == 50
    assert record(claimed, failure(second)) is True
    job = job_of(request_id)
    assert (job.status, job.completion_percentage) == (JobStatus.COMPLETED, 100)
    assert (job.completed_images, job.failed_images) == (1, 1)
    assert (job.input_bytes, job.output_bytes) == (1000, 400)
    assert job.error_message is None and job.finished_at is not None


def test_the_event_of_a_completed_job_lists_its_images(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    first, second = pending_images(claimed)
    record(claimed, success(first), failure(second))
    payload = json.loads(events_of(request_id)[-1].payload)
    assert payload["request_id"] == str(request_id)
    assert payload["status"] == "COMPLETED"
    assert payload["images"] == [
        {
            "input_url": first.input_url,
            "status": "COMPLETED",
            "output_url": f"http://service.test/image/{first.image_id}/0.jpg",
        },
        {"input_url": second.input_url, "output_url": None, "status": "FAILED"},
    ]
    assert payload["images_truncated"] is False
    assert payload["download_url"] == f"http://service.test/job/download/{request_id}"


def test_a_closed_job_leaves_no_slice_behind_whose_worker_died(make_job: MakeJob) -> None:
    request_id = make_job(2, slice_size=1)
    orphaned, last = claim(request_id, 0), claim(request_id, 1)
    record(orphaned, success(pending_images(orphaned)[0]))
    assert record(last, success(pending_images(last)[0])) is True
    assert [part.state for part in slices_of(request_id)] == [SliceState.DONE, SliceState.DONE]


def test_a_job_without_any_success_has_failed(make_job: MakeJob) -> None:
    request_id = make_job(1)
    claimed = claim(request_id)
    record(claimed, failure(*pending_images(claimed)))
    job = job_of(request_id)
    assert job.status == JobStatus.FAILED and job.error_message
    assert [event.event for event in events_of(request_id)] == ["job.processing", "job.failed"]


def test_a_job_without_a_webhook_has_no_events(make_job: MakeJob) -> None:
    request_id = make_job(1, webhook_url=None)
    claimed = claim(request_id)
    record(claimed, success(*pending_images(claimed)))
    assert events_of(request_id) == []


def test_nothing_is_written_to_a_cancelled_job(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    assert cancel_job(request_id) is True
    before = job_of(request_id).updated_at
    with pytest.raises(ClaimLost):
        record(claimed, success(pending_images(claimed)[0]))
    job = job_of(request_id)
    assert (job.status, job.completed_images, job.updated_at) == ("CANCELLED", 0, before)
    assert {image.status for image in images_of(request_id)} == {ImageStatus.PENDING}
    assert claim_slice(request_id, 0, lease_seconds=30) is None


def test_a_finished_job_cannot_be_cancelled(make_job: MakeJob) -> None:
    request_id = make_job(1)
    claimed = claim(request_id)
    record(claimed, success(*pending_images(claimed)))
    assert cancel_job(request_id) is False
    assert job_of(request_id).status == JobStatus.COMPLETED


def test_counters_that_drifted_are_repaired_when_the_job_closes(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    first, second = pending_images(claimed)
    record(claimed, success(first))
    with writing() as session:
        session.execute(update(JobRequest).values(completed_images=7, output_bytes=1))
    record(claimed, failure(second))
    job = job_of(request_id)
    assert (job.completed_images, job.failed_images, job.output_bytes) == (1, 1, 400)
    assert read_counters()[RecoveryCounter.COUNTERS_REPAIRED] == 1


def test_two_last_slices_that_finish_together_close_the_job_once(make_job: MakeJob) -> None:
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    for _ in range(25):
        request_id = make_job(2, slice_size=1)
        claims = [claim(request_id, 0), claim(request_id, 1)]
        together = Barrier(2)

        def finish(claimed: Claim) -> bool:
            with app.app_context():
                (image,) = pending_images(claimed)
                together.wait(10)
                return record(claimed, success(image))

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(finish, claims)) == [False, True]
        assert job_of(request_id).status == JobStatus.COMPLETED
        assert [event.event for event in events_of(request_id)] == [
            "job.processing",
            "job.completed",
        ]
