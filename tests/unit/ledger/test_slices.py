"""Slices: one claimant at a time, fenced by the attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imgcompress.ledger.jobs import retry_job
from imgcompress.ledger.models import JobFailure, JobRequest, utcnow
from imgcompress.ledger.results import (
    ClaimLost,
    Failure,
    Postponement,
    record_and_release,
    record_results,
)
from imgcompress.ledger.session import reading, writing
from imgcompress.ledger.slices import (
    claim_slice,
    pending_images,
    release_reservations,
    release_slice,
    reserve_slices,
)

from .conftest import MakeJob
from tests.support.records import (
    LEASE,
    claim,
    failure,
    failures_of,
    images_of,
    job_of,
    record,
    slices_of,
    success,
)

EXPIRED = -1.0


def test_a_claimed_slice_cannot_be_claimed_again(make_job: MakeJob) -> None:
    request_id = make_job()
    claim(request_id)
    assert claim_slice(request_id, 0, lease_seconds=LEASE) is None


def test_a_claim_has_the_options_of_its_own_job(make_job: MakeJob) -> None:
    first, second = make_job(), make_job()
    with writing() as session:
        job = session.get_one(JobRequest, second)
        job.base_url, job.options = "http://second.test", {"width": 100}
    claims = claim(first), claim(second)
    assert [(part.base_url, part.options) for part in claims] == [
        ("http://service.test", {"compression_percentage": 50}),
        ("http://second.test", {"width": 100}),
    ]


def test_a_failed_claim_does_not_start_the_job(make_job: MakeJob) -> None:
    request_id = make_job()
    assert claim_slice(request_id, 99, lease_seconds=LEASE) is None
    assert job_of(request_id).status == "PENDING"


def test_an_expired_lease_can_be_claimed_and_counts_as_a_crash(make_job: MakeJob) -> None:
    request_id = make_job()
    first = claim(request_id, lease_seconds=EXPIRED)
    second = claim(request_id)
    assert (first.attempt, first.crashes) == (1, 0)
    assert (second.attempt, second.crashes) == (2, 1)


def test_a_worker_that_lost_its_claim_writes_nothing(make_job: MakeJob) -> None:
    request_id = make_job()
    stale = claim(request_id, lease_seconds=EXPIRED)
    image = pending_images(stale)[0]
    claim(request_id)
    with pytest.raises(ClaimLost):
        record(stale, success(image))
    assert images_of(request_id)[0].status == "PENDING"
    assert job_of(request_id).completed_images == 0
    assert release_slice(stale) is False


def test_an_image_counts_once_however_often_it_is_recorded(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    image = pending_images(claimed)[0]
    record(claimed, success(image))
    record(claimed, success(image), failure(image))
    job = job_of(request_id)
    assert (job.completed_images, job.failed_images, job.output_bytes) == (1, 0, 400)


def test_duplicates_share_the_result_under_addresses_of_their_own(make_job: MakeJob) -> None:
    request_id = make_job(["http://a/1", "http://a/1", "http://a/2"], slice_size=1)
    claimed = claim(request_id)
    (image,) = pending_images(claimed)
    assert pending_images(claim(request_id, 1)) == []
    record(claimed, success(image))
    first, second, third = images_of(request_id)
    assert (first.status, second.status, third.status) == ("COMPLETED", "COMPLETED", "PENDING")
    assert first.storage_key == second.storage_key
    assert second.image_url == f"http://service.test/image/{second.image_id}/1.jpg"
    assert job_of(request_id).completed_images == 2


def test_failures_are_summed_up_by_code_and_host(make_job: MakeJob) -> None:
    request_id = make_job(["http://a/1", "http://a/2", "http://a/2", "http://b/3"])
    claimed = claim(request_id)
    one, two, three = pending_images(claimed)
    record(claimed, failure(one))
    record(claimed, failure(two), failure(three, "dns_failed"))
    assert failures_of(request_id) == [("dns_failed", "b", 1, 5), ("source_status", "a", 3, 2)]


def test_failures_of_one_code_are_grouped_by_cause(make_job: MakeJob) -> None:
    request_id = make_job(["http://a/1", "http://a/2", "http://a/3"])
    claimed = claim(request_id)
    found = ("HTTP 403 Forbidden", "HTTP 404 Not Found", "HTTP 403 Forbidden")
    record(
        claimed,
        *(
            Failure(image, "source_status", text, text)
            for image, text in zip(pending_images(claimed), found, strict=True)
        ),
    )
    with reading() as session:
        assert [
            (row.found, row.images)
            for row in session.query(JobFailure)
            .filter_by(request_id=request_id)
            .order_by(JobFailure.found)
        ] == [("HTTP 403 Forbidden", 2), ("HTTP 404 Not Found", 1)]


def test_an_image_postponed_untried_costs_no_attempt(make_job: MakeJob) -> None:
    request_id = make_job(1)
    claimed = claim(request_id)
    (image,) = pending_images(claimed)
    record_results(claimed, [Postponement(image, 0, tried=False)], lease_seconds=LEASE)
    (image,) = pending_images(claimed)
    assert (image.attempts, image.waits) == (0, 1)
    record(claimed, failure(image))
    retry_job(request_id)
    (image,) = pending_images(claim(request_id))
    assert (image.attempts, image.waits) == (0, 0)


def test_reservations_stop_at_the_number_asked_for(make_job: MakeJob) -> None:
    request_id = make_job(10, slice_size=1)
    assert reserve_slices(request_id, 2) == [0, 1]
    assert reserve_slices(request_id, 2) == []
    claim(request_id, 0)
    assert reserve_slices(request_id, 2) == [2]


def test_a_released_reservation_can_be_made_again(make_job: MakeJob) -> None:
    request_id = make_job(1)
    assert reserve_slices(request_id, 2) == [0]
    release_reservations(request_id, [0])
    assert reserve_slices(request_id, 2) == [0]


def test_a_slice_is_done_when_none_of_its_images_is_pending(make_job: MakeJob) -> None:
    request_id = make_job(4, slice_size=2)
    claimed = claim(request_id)
    record(claimed, *map(success, pending_images(claimed)))
    assert release_slice(claimed) is True
    assert claim_slice(request_id, 0, lease_seconds=LEASE) is None


def test_a_released_slice_can_be_claimed_at_once(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    record(claimed, success(pending_images(claimed)[0]))
    release_slice(claimed)
    again = claim(request_id)
    assert len(pending_images(again)) == 1
    assert again.crashes == 0


def test_a_postponed_image_delays_its_slice(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    one, two = pending_images(claimed)
    record_results(claimed, (success(one), Postponement(two, 100)), lease_seconds=LEASE)
    assert pending_images(claimed) == []
    release_slice(claimed)
    assert claim_slice(request_id, 0, lease_seconds=LEASE) is None
    assert reserve_slices(request_id, 2) == []
    image = images_of(request_id)[1]
    assert (image.status, image.attempts) == ("PENDING", 1)
    assert image.not_before is not None
    assert timedelta(seconds=90) < image.not_before - utcnow() <= timedelta(seconds=100)


def test_the_last_results_and_the_end_of_the_slice_are_written_together(make_job: MakeJob) -> None:
    request_id = make_job(3)
    claimed = claim(request_id)
    results = [success(image) for image in pending_images(claimed)]
    assert record_and_release(claimed, results) is True
    assert (job_of(request_id).status, slices_of(request_id)[0].state) == ("COMPLETED", "DONE")


def test_a_slice_released_with_results_keeps_its_other_images(make_job: MakeJob) -> None:
    request_id = make_job(3)
    claimed = claim(request_id)
    assert record_and_release(claimed, [success(pending_images(claimed)[0])]) is False
    assert [image.status for image in images_of(request_id)] == ["COMPLETED"] + ["PENDING"] * 2
    assert slices_of(request_id)[0].state == "QUEUED"
    assert claim(request_id).crashes == 0


def test_a_slice_is_not_ended_by_a_worker_that_lost_it(make_job: MakeJob) -> None:
    request_id = make_job()
    stale = claim(request_id, lease_seconds=EXPIRED)
    image = pending_images(stale)[0]
    claim(request_id)
    with pytest.raises(ClaimLost):
        record_and_release(stale, [success(image)])
    assert images_of(request_id)[0].status == "PENDING"
    assert slices_of(request_id)[0].state == "LEASED"
