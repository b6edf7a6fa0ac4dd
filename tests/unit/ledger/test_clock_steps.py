"""A clock that was three hours ahead and is put back: nothing waits for hours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask

from imgcompress.ledger import clock, slices
from imgcompress.ledger.clock_steps import Longest, correct_future_times
from imgcompress.ledger.deletion import purge_due_jobs, soft_delete
from imgcompress.ledger.deliveries import DueDelivery, claim_due, record_undelivered
from imgcompress.ledger.gauges import read_gauges
from imgcompress.ledger.hosts import Source, circuits_of, claim_probe, open_circuit
from imgcompress.ledger.idempotency import KeyClaim, claim_key
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.metrics import note_recovery, recovery_age
from imgcompress.ledger.models import Channel
from imgcompress.ledger.receivers import FAILURES_TO_OPEN
from imgcompress.ledger.results import Postponement, record_results
from imgcompress.ledger.slices import (
    claim_slice,
    expire_leases,
    pending_images,
    release_slice,
    reserve_slices,
)

from .conftest import MakeJob
from tests.support.records import Files, claim, images_of, record, slices_of, success

LONGEST = Longest(lease=30, suspension=85, hold=300, delivery=104_000)
HOLD = {Channel.WEBHOOK: 30.0, Channel.EMAIL: 300.0}
AHEAD = timedelta(hours=3)
HOST = Source("", "cdn.test:443")


@contextmanager
def _ahead(span: timedelta = AHEAD) -> Iterator[None]:
    """Have the ledger's clock be ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "ADVANCED", span)
        yield


def _claimed() -> DueDelivery:
    delivery = claim_due(HOLD)
    assert delivery is not None
    return delivery


def _fail(delivery: DueDelivery, seconds: float, *, failing: bool = False) -> None:
    record_undelivered(
        delivery,
        seconds=0.1,
        status=500,
        error="status 500",
        next_in=seconds,
        receiver_failing=failing,
    )


def _postpone(request_id: UUID, seconds: float) -> None:
    held = claim(request_id)
    one, two = pending_images(held)
    record_results(held, [success(one), Postponement(two, seconds)], lease_seconds=30)
    release_slice(held)


def test_without_a_clock_step_nothing_is_changed(make_job: MakeJob) -> None:
    postponed, leased, waiting = make_job(2), make_job(), make_job()
    _postpone(postponed, 300)
    claim(leased)
    reserve_slices(waiting, 1)
    open_circuit(HOST, "connect_failed", seconds=60)
    soft_delete(make_job(), None)
    _fail(_claimed(), 86_400)
    _claimed()
    note_recovery()
    assert correct_future_times(LONGEST) == 0


def test_a_postponed_image_is_tried(make_job: MakeJob) -> None:
    request_id = make_job(2)
    with _ahead():
        _postpone(request_id, 5)
    assert slices.jobs_to_publish(10) == []
    assert correct_future_times(LONGEST) > 0
    assert slices.jobs_to_publish(10) == [request_id]
    assert len(pending_images(claim(request_id))) == 1


def test_images_of_a_slice_that_is_due_for_others_follow(make_job: MakeJob) -> None:
    request_id = make_job(2)
    held = claim(request_id)
    one, two = pending_images(held)
    with _ahead():
        record_results(held, [Postponement(one, 5)], lease_seconds=30)
    release_slice(held)
    held = claim(request_id)
    assert [image.image_id for image in pending_images(held)] == [two.image_id]
    record(held, success(two))
    release_slice(held)
    assert claim_slice(request_id, 0, lease_seconds=30) is None
    correct_future_times(LONGEST)
    assert len(pending_images(claim(request_id))) == 1


def test_a_lease_runs_out_in_its_time(make_job: MakeJob) -> None:
    request_id = make_job()
    with _ahead():
        claim(request_id)
    correct_future_times(LONGEST)
    assert expire_leases() == 0
    with _ahead(timedelta(seconds=31)):
        assert expire_leases() == 1


def test_a_lost_message_is_missed_in_its_time(make_job: MakeJob) -> None:
    request_id = make_job()
    with _ahead():
        reserve_slices(request_id, 1)
    correct_future_times(LONGEST)
    with _ahead(timedelta(seconds=11)):
        assert slices.republish_lost_slices(0, older_than=10) == 1


def test_a_job_that_stands_still_is_seen(make_job: MakeJob) -> None:
    with _ahead():
        make_job()
    correct_future_times(LONGEST)
    with _ahead(timedelta(seconds=100)):
        assert read_gauges().oldest_slice >= 100


def test_an_event_is_delivered(make_job: MakeJob) -> None:
    with _ahead():
        cancel_job(make_job())
    assert claim_due(HOLD) is None
    correct_future_times(LONGEST)
    assert _claimed().step == 1


@pytest.mark.parametrize("pause", [5.0, 3600.0])
def test_a_failed_delivery_is_repeated(make_job: MakeJob, pause: float) -> None:
    cancel_job(make_job())
    with _ahead():
        note_recovery()
        _fail(_claimed(), pause)
    assert claim_due(HOLD) is None
    correct_future_times(LONGEST)
    assert _claimed().step == 2


def test_a_pause_of_hours_from_before_is_kept(make_job: MakeJob) -> None:
    cancel_job(make_job())
    _fail(_claimed(), 86_400)
    with _ahead():
        note_recovery()
    assert correct_future_times(LONGEST) == 0 and claim_due(HOLD) is None


def test_an_attempt_whose_worker_died_is_repeated(make_job: MakeJob) -> None:
    cancel_job(make_job())
    with _ahead():
        _claimed()
    correct_future_times(LONGEST)
    assert claim_due(HOLD) is None
    with _ahead(timedelta(seconds=LONGEST.hold + 1)):
        assert _claimed().step == 2


def test_a_suspended_receiver_is_tried(make_job: MakeJob) -> None:
    for _ in range(FAILURES_TO_OPEN + 1):
        cancel_job(make_job())
    with _ahead():
        for _ in range(FAILURES_TO_OPEN):
            _fail(_claimed(), 86_400, failing=True)
    correct_future_times(LONGEST)
    assert _claimed().step == 1


@pytest.mark.parametrize("what", ["open", "tried"])
def test_a_suspended_host_is_tried(app: Flask, what: str) -> None:
    if what == "open":
        with _ahead():
            open_circuit(HOST, "connect_failed", seconds=60)
    else:
        open_circuit(HOST, "connect_failed", seconds=-1)
        with _ahead():
            assert claim_probe(HOST, seconds=85)
    assert not claim_probe(HOST, seconds=85)
    correct_future_times(LONGEST)
    assert claim_probe(HOST, seconds=85)
    assert circuits_of("", [HOST.authority])[0].rest <= 0


def test_a_deletion_that_was_cut_off_goes_on(make_job: MakeJob) -> None:
    request_id, files = make_job(), Files()
    with _ahead():
        soft_delete(request_id, None)
    assert purge_due_jobs(files) == 0
    correct_future_times(LONGEST)
    assert purge_due_jobs(files) == 1
    assert files.deleted == [request_id] and slices_of(request_id) == images_of(request_id) == []


def test_the_key_of_a_request_that_died_is_free(app: Flask) -> None:
    with _ahead():
        assert isinstance(claim_key(None, "key", "print"), KeyClaim)
    assert isinstance(claim_key(None, "key", "print"), KeyClaim)


def test_what_was_noted_in_the_future_is_not_taken_for_work(app: Flask) -> None:
    with _ahead():
        note_recovery()
    age = recovery_age()
    assert age is not None and age > 3600
    note_recovery()
    age = recovery_age()
    assert age is not None and age < 60


def test_a_step_is_put_right_once(make_job: MakeJob) -> None:
    request_id = make_job(2)
    with _ahead():
        note_recovery()
        _postpone(request_id, 5)
    assert correct_future_times(LONGEST) > 0
    assert correct_future_times(LONGEST) == 0
