"""Retry: what failed is tried again, in a new epoch of the same job."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from imgcompress.ledger.deletion import soft_delete
from imgcompress.ledger.hosts import Source, circuits_of, claim_probe, open_circuit
from imgcompress.ledger.jobs import cancel_job, retry_job
from imgcompress.ledger.models import JobDeletion, JobRequest, JobSlice, OwnerCircuit, utcnow
from imgcompress.ledger.results import ClaimLost
from imgcompress.ledger.session import reading, writing
from imgcompress.ledger.slices import (
    claim_slice,
    expire_leases,
    jobs_to_publish,
    pending_images,
    release_slice,
    reserve_slices,
)

from .conftest import MakeJob
from tests.support.parallel import in_parallel
from tests.support.records import (
    claim,
    events_of,
    failure,
    failures_of,
    images_of,
    job_of,
    record,
    success,
)

FAILED_AT = {1: "source_status", 2: "not_an_image", 5: "source_status"}


@pytest.fixture
def ended(make_job: MakeJob) -> UUID:
    """Return a job of six images in three slices, which has ended with three failures."""
    request_id = make_job(6, slice_size=2)
    for slice_no in range(3):
        claimed = claim(request_id, slice_no)
        record(
            claimed,
            *(
                failure(image, FAILED_AT[image.ordinal])
                if image.ordinal in FAILED_AT
                else success(image)
                for image in pending_images(claimed)
            ),
        )
        release_slice(claimed)
    assert job_of(request_id).status == "COMPLETED"
    return request_id


def _statuses(request_id: UUID) -> str:
    return "".join(image.status[0] for image in images_of(request_id))


def _slices(request_id: UUID) -> list[JobSlice]:
    with reading() as session:
        return list(
            session.query(JobSlice).filter_by(request_id=request_id).order_by(JobSlice.slice_no)
        )


def test_only_failed_images_are_tried_again(ended: UUID) -> None:
    assert _statuses(ended) == "CFFCCF"
    assert retry_job(ended) is True
    assert _statuses(ended) == "CPPCCP"
    job = job_of(ended)
    assert (job.status, job.epoch, job.completion_percentage) == ("PENDING", 2, 50)
    assert job.done_before == job.completed_images + job.failed_images
    assert (job.completed_images, job.failed_images) == (3, 0)
    assert (job.input_bytes, job.output_bytes) == (3000, 1200)
    assert job.error_message is job.finished_at is job.started_at is None
    assert failures_of(ended) == []
    for image in images_of(ended):
        assert image.error_code is image.error_message is image.not_before is None


def test_failures_are_filtered_by_code(ended: UUID) -> None:
    assert retry_job(ended, ["source_status"]) is True
    assert _statuses(ended) == "CPFCCP"
    job = job_of(ended)
    assert (job.completed_images, job.failed_images, job.completion_percentage) == (3, 1, 66)
    assert [code for code, *_ in failures_of(ended)] == ["not_an_image"]
    assert [row.state for row in _slices(ended)] == ["QUEUED", "DONE", "QUEUED"]


def test_attempts_start_again(make_job: MakeJob) -> None:
    request_id = make_job(1)
    claimed = claim(request_id)
    record(claimed, failure(*pending_images(claimed)))
    assert images_of(request_id)[0].attempts == 1
    retry_job(request_id)
    assert images_of(request_id)[0].attempts == 0


def test_its_slices_stand_ready_to_be_published(ended: UUID) -> None:
    retry_job(ended)
    assert {
        (row.state, row.published_at, row.lease_until, row.not_before, row.holder)
        for row in _slices(ended)
    } == {("QUEUED", None, None, None, None)}
    assert jobs_to_publish(10) == [ended]
    assert reserve_slices(ended, 2) == [0, 1]


def test_a_worker_of_the_last_epoch_writes_nothing(make_job: MakeJob) -> None:
    request_id = make_job(2)
    late = claim(request_id)
    first, second = pending_images(late)
    record(late, failure(first), success(second))
    retry_job(request_id)
    claim(request_id)
    with pytest.raises(ClaimLost):
        record(late, success(first))
    assert release_slice(late) is False
    assert _statuses(request_id) == "PC"


def test_a_slice_that_killed_a_worker_stays_isolated(ended: UUID) -> None:
    with writing() as session:
        session.execute(update(JobSlice).where(JobSlice.slice_no == 0).values(crashes=11))
    retry_job(ended)
    assert [row.crashes for row in _slices(ended)] == [1, 0, 0]


def test_its_hosts_are_tried_however_often_they_failed(ended: UUID) -> None:
    for authority in ("images.test:443", "images.test:8080", "other.test:443"):
        open_circuit(Source("", authority), "HTTP 503", seconds=100)
    with writing() as session:
        session.execute(update(OwnerCircuit).values(openings=3))
    retry_job(ended)
    for authority, openings in (
        ("images.test:443", 1),
        ("images.test:8080", 1),
        ("other.test:443", 3),
    ):
        (circuit,) = circuits_of("", [authority])
        assert circuit.openings == openings, authority
        assert claim_probe(Source("", authority), seconds=10) is (openings == 1), authority


def test_a_deleted_job_is_not_tried_again(ended: UUID) -> None:
    assert soft_delete(ended, None)
    assert retry_job(ended) is False
    assert (job_of(ended).status, job_of(ended).epoch) == ("COMPLETED", 1)


def test_a_retry_that_waits_for_a_deletion_does_not_reopen_the_job(app: Flask, ended: UUID) -> None:
    retried: list[bool] = []

    def retry() -> None:
        with app.app_context():
            retried.append(retry_job(ended))

    thread = threading.Thread(target=retry)
    with writing() as session:
        session.scalar(
            select(JobRequest.request_id).where(JobRequest.request_id == ended).with_for_update()
        )
        session.add(JobDeletion(request_id=ended, due_at=utcnow()))
        session.flush()
        thread.start()
        thread.join(0.5)
    thread.join(30)
    assert retried == [False]
    assert (job_of(ended).status, job_of(ended).epoch) == ("COMPLETED", 1)


def test_images_that_repeat_a_url_come_along(make_job: MakeJob) -> None:
    request_id = make_job(["http://a/1", "http://a/2", "http://a/1", "http://a/1"], slice_size=2)
    claimed = claim(request_id)
    one, two = pending_images(claimed)
    record(claimed, failure(one), success(two))
    assert _statuses(request_id) == "FCFF"
    retry_job(request_id, ["source_status"])
    assert _statuses(request_id) == "PCPP"
    assert job_of(request_id).completion_percentage == 25
    again = claim(request_id)
    assert record(again, success(*pending_images(again))) is True
    job = job_of(request_id)
    assert (job.status, job.completed_images, job.failed_images) == ("COMPLETED", 4, 0)


def test_each_epoch_is_reported_once(ended: UUID) -> None:
    for _ in range(2):
        retry_job(ended, ["not_an_image"])
        claimed = claim(ended, 1)
        (image,) = pending_images(claimed)
        record(claimed, failure(image, "not_an_image"))
    assert [(event.epoch, event.event) for event in events_of(ended)] == [
        (1, "job.processing"),
        (1, "job.completed"),
        (2, "job.pending"),
        (2, "job.processing"),
        (2, "job.completed"),
        (3, "job.pending"),
        (3, "job.processing"),
        (3, "job.completed"),
    ]


def test_a_job_without_any_success_can_be_completed(make_job: MakeJob) -> None:
    request_id = make_job(1)
    claimed = claim(request_id)
    record(claimed, failure(*pending_images(claimed)))
    retry_job(request_id)
    again = claim(request_id)
    record(again, success(*pending_images(again)))
    job = job_of(request_id)
    assert (job.status, job.error_message, job.completion_percentage) == ("COMPLETED", None, 100)


def test_an_active_job_is_not_retried(make_job: MakeJob) -> None:
    request_id = make_job(2)
    assert retry_job(request_id) is False
    claimed = claim(request_id)
    record(claimed, failure(pending_images(claimed)[0]))
    assert retry_job(request_id) is False
    assert (_statuses(request_id), job_of(request_id).epoch) == ("FP", 1)


@pytest.mark.parametrize("codes", [["tls_invalid"], ["no_such_code"]])
def test_where_nothing_matches_nothing_changes(ended: UUID, codes: list[str]) -> None:
    before = job_of(ended)
    assert retry_job(ended, codes) is False
    after = job_of(ended)
    assert (after.status, after.epoch, after.updated_at) == ("COMPLETED", 1, before.updated_at)
    assert [row.state for row in _slices(ended)] == ["DONE"] * 3
    assert len(failures_of(ended)) == 2


def test_a_cancelled_job_goes_on_where_it_was(make_job: MakeJob) -> None:
    request_id = make_job(6, slice_size=2)
    held = claim(request_id, 0)
    record(held, failure(pending_images(held)[0]))
    cancel_job(request_id)
    assert retry_job(request_id) is True
    assert _statuses(request_id) == "PPPPPP"
    assert expire_leases() == 0
    for slice_no in range(3):
        claimed = claim(request_id, slice_no)
        record(claimed, *map(success, pending_images(claimed)))
    assert job_of(request_id).status == "COMPLETED"
    assert claim_slice(request_id, 0, lease_seconds=30) is None


def test_of_retries_at_the_same_time_one_counts(app: Flask, ended: UUID) -> None:
    def retry(_: int) -> bool:
        with app.app_context():
            return retry_job(ended)

    assert sorted(in_parallel(retry, 4)) == [False, False, False, True]
    assert job_of(ended).epoch == 2
    assert [event.event for event in events_of(ended)].count("job.pending") == 1
