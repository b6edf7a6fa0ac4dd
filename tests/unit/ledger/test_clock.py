"""The ledger's clock: the database decides what is due, however wrong a machine's clock is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from imgcompress.ledger import clock, models
from imgcompress.ledger.clock import about_now, clock_difference, ledger_now
from imgcompress.ledger.hosts import Source, circuits_of, open_circuit
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.queries import stalled_since
from imgcompress.ledger.results import Postponement, record_results
from imgcompress.ledger.slices import expire_leases, pending_images, release_slice, reserve_slices

from .conftest import MakeJob
from tests.support.records import claim, events_of, images_of, job_of, record, slices_of, success

ON_POSTGRES = pytest.mark.parametrize(
    "ledger_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
HOLDER = "machine/1/1"
EXPIRED = -1.0

SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Return a function that makes this machine's clock wrong by some seconds."""

    def be_wrong_by(seconds: float) -> None:
        class Wrong(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return datetime.now(UTC) + timedelta(seconds=seconds)

        monkeypatch.setattr(models, "datetime", Wrong)

    monkeypatch.setattr(clock, "_DIFFERENCE", clock._Difference())
    return be_wrong_by


@ON_POSTGRES
@pytest.mark.parametrize("wrong_by", [-60, 60, -3600])
def test_a_lease_holds_whatever_the_clock_of_its_worker_says(
    make_job: MakeJob, set_clock: SetClock, wrong_by: float
) -> None:
    request_id = make_job()
    set_clock(wrong_by)
    held = claim(request_id, lease_seconds=30)
    record(held, success(pending_images(held)[0]))
    set_clock(0)
    assert expire_leases() == 0
    lease_until = slices_of(request_id)[0].lease_until
    assert lease_until is not None
    assert timedelta(seconds=20) < lease_until - models.utcnow() <= timedelta(seconds=31)


@ON_POSTGRES
@pytest.mark.parametrize("wrong_by", [-60, 60])
def test_nobody_ends_the_leases_of_others_by_a_clock_of_his_own(
    make_job: MakeJob, set_clock: SetClock, wrong_by: float
) -> None:
    request_id = make_job()
    claim(request_id, lease_seconds=30)
    set_clock(wrong_by)
    assert expire_leases() == 0


@ON_POSTGRES
@pytest.mark.parametrize("wrong_by", [-600, 600])
def test_a_pause_is_as_long_as_it_was_meant_to_be(
    make_job: MakeJob, set_clock: SetClock, wrong_by: float
) -> None:
    request_id = make_job(1)
    set_clock(wrong_by)
    held = claim(request_id)
    (image,) = pending_images(held)
    record_results(held, [Postponement(image, 100)], lease_seconds=30)
    release_slice(held)
    open_circuit(Source("", "cdn.test:443"), "connect_failed", seconds=60)
    (circuit,) = circuits_of("", ["cdn.test:443"])
    assert 50 < circuit.rest <= 60
    set_clock(0)
    for row in images_of(request_id)[0], slices_of(request_id)[0]:
        assert row.not_before is not None
        assert timedelta(seconds=90) < row.not_before - models.utcnow() <= timedelta(seconds=101)


@ON_POSTGRES
def test_the_times_of_a_job_are_those_of_the_database(
    make_job: MakeJob, set_clock: SetClock
) -> None:
    set_clock(-3600)
    request_id = make_job()
    reserve_slices(request_id, 1)
    claim(request_id)
    assert stalled_since(job_of(request_id)) is None
    cancel_job(request_id)
    set_clock(0)
    job, event = job_of(request_id), events_of(request_id)[0]
    for time in (
        job.created_at,
        job.updated_at,
        job.started_at,
        job.finished_at,
        event.created_at,
        event.next_attempt_at,
    ):
        assert time is not None
        assert abs(time - models.utcnow()) < timedelta(seconds=60)


@ON_POSTGRES
@pytest.mark.parametrize("wrong_by, expected", [(-60, "60.0 s behind"), (60, "60.0 s ahead of")])
def test_a_wrong_clock_is_measured_and_reported_once(
    app: Flask,
    set_clock: SetClock,
    caplog: pytest.LogCaptureFixture,
    wrong_by: float,
    expected: str,
) -> None:
    set_clock(wrong_by)
    for _ in range(3):
        assert clock_difference() == pytest.approx(wrong_by, abs=1)
    assert caplog.text.count(expected) == 1
    assert abs(about_now() - ledger_now()) < timedelta(seconds=2)
    set_clock(0)
    clock_difference()
    assert caplog.text.count("agrees with the database's again") == 1


@ON_POSTGRES
def test_a_worker_logs_that_its_clock_is_wrong_as_it_claims(
    make_job: MakeJob, set_clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    set_clock(-60)
    claim(make_job())
    assert "60.0 s behind the database's" in caplog.text


def test_a_clock_that_is_right_is_not_reported(
    make_job: MakeJob, set_clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    claim(make_job())
    assert abs(clock_difference()) < 2 and caplog.text == ""
    assert abs(ledger_now() - models.utcnow()) < timedelta(seconds=2)


class TestCrashes:
    def test_a_lease_that_runs_out_with_nothing_done_counts(self, make_job: MakeJob) -> None:
        request_id = make_job()
        claim(request_id, lease_seconds=EXPIRED)
        assert expire_leases() == 1
        assert claim(request_id).crashes == 1

    def test_one_that_runs_out_amid_the_work_does_not(self, make_job: MakeJob) -> None:
        request_id = make_job(9)
        for _ in range(3):
            held = claim(request_id)
            record_results(held, [success(pending_images(held)[0])], lease_seconds=EXPIRED)
            assert expire_leases() == 1
        assert claim(request_id).crashes == 0

    def test_one_that_is_taken_over_amid_the_work_does_not(self, make_job: MakeJob) -> None:
        request_id = make_job()
        held = claim(request_id)
        record_results(held, [success(pending_images(held)[0])], lease_seconds=EXPIRED)
        assert claim(request_id).crashes == 0

    def test_the_death_of_a_holder_counts_whatever_it_has_done(self, make_job: MakeJob) -> None:
        request_id = make_job()
        held = claim(request_id, holder=HOLDER)
        record(held, success(pending_images(held)[0]))
        assert expire_leases({HOLDER}) == 1
        assert claim(request_id).crashes == 1

    def test_a_lease_that_is_only_renewed_is_no_progress(self, make_job: MakeJob) -> None:
        request_id = make_job()
        held = claim(request_id)
        record_results(held, [success(pending_images(held)[0])], lease_seconds=EXPIRED)
        record_results(claim(request_id), [], lease_seconds=EXPIRED)
        assert claim(request_id).crashes == 1


def test_all_moments_of_a_statement_are_the_same(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = make_job(1)
    ticks = iter(range(1000))
    began = models.utcnow()
    monkeypatch.setattr(clock, "utcnow", lambda: began + timedelta(seconds=next(ticks)))
    assert cancel_job(request_id)
    job = job_of(request_id)
    assert job.finished_at is not None
    assert job.finished_at == job.updated_at
