"""Recovery: what was lost is found and made good."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import update

from imgcompress.ledger import slices
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.metrics import RecoveryCounter, read_counters
from imgcompress.ledger.models import CompressedImage
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import expire_leases, lease_holders, reserve_slices

from .conftest import MakeJob
from tests.support.records import claim, events_of, job_of

NOW = -1.0


def test_an_expired_lease_goes_back_to_the_queue(make_job: MakeJob) -> None:
    request_id = make_job()
    reserve_slices(request_id, 2)
    claim(request_id, lease_seconds=-1)
    assert slices.jobs_to_publish(10) == []
    assert expire_leases() == 1
    assert slices.jobs_to_publish(10) == [request_id]
    assert expire_leases() == 0


def test_a_current_lease_is_kept(make_job: MakeJob) -> None:
    claim(make_job())
    assert expire_leases() == 0


@pytest.mark.parametrize("ended", ["lease_until", "holder"])
def test_a_lease_ends_with_its_time_or_with_its_holder(make_job: MakeJob, ended: str) -> None:
    request_id = make_job(3, slice_size=1)
    claim(request_id, 0, holder="machine/1/1")
    claim(request_id, 1, holder="machine/2/2", lease_seconds=-1 if ended == "lease_until" else 30)
    assert sorted(lease_holders()) == ["machine/1/1", "machine/2/2"]
    assert expire_leases({"machine/2/2"} if ended == "holder" else ()) == 1
    assert lease_holders() == ["machine/1/1"]
    assert claim(request_id, 1).crashes == 1
    assert read_counters()[RecoveryCounter.LEASES_EXPIRED] == 1


def test_slices_are_published_again_when_the_queue_holds_fewer_messages(make_job: MakeJob) -> None:
    jobs = [make_job(3, slice_size=1) for _ in range(3)]
    for request_id in jobs:
        reserve_slices(request_id, 2)
    claim(jobs[0], 0)
    assert slices.republish_lost_slices(0, older_than=15) == 0
    assert slices.republish_lost_slices(4, older_than=NOW) == 5
    assert slices.jobs_to_publish(10) == jobs
    assert read_counters()[RecoveryCounter.MESSAGES_LOST] == 1


def test_a_long_queue_is_not_taken_for_lost_messages(make_job: MakeJob) -> None:
    request_id = make_job(3, slice_size=1)
    reserve_slices(request_id, 2)
    assert slices.republish_lost_slices(2, older_than=NOW) == 0
    assert slices.jobs_to_publish(10) == [request_id]  # Its third slice.
    assert reserve_slices(request_id, 2) == []


def test_the_messages_of_an_ended_job_are_not_missed(make_job: MakeJob) -> None:
    request_id = make_job()
    reserve_slices(request_id, 2)
    cancel_job(request_id)
    assert slices.republish_lost_slices(0, older_than=NOW) == 0


def test_a_finished_job_that_stayed_open_is_closed_once(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claim(request_id)
    _fail_images_behind_the_ledgers_back(request_id)
    assert slices.close_finished_jobs() == 1
    assert slices.close_finished_jobs() == 0
    assert job_of(request_id).status == "FAILED"
    assert [event.event for event in events_of(request_id)] == ["job.processing", "job.failed"]


def _fail_images_behind_the_ledgers_back(request_id: UUID) -> None:
    with writing() as session:
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == request_id)
            .values(status="FAILED")
        )
