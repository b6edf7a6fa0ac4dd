"""What one worker makes of the hosts that its images come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask

from imgcompress.errors import ImageError, LedgerUnavailable
from imgcompress.ledger import clock, hosts, session
from imgcompress.ledger.hosts import Source
from imgcompress.ledger.session import reading
from imgcompress.net.fetcher import Deferred, HostBusy, SourceStatus
from imgcompress.worker.circuits import FAILURES_TO_OPEN, OPENINGS_TO_FAIL, HostCircuits

from ..conftest import MakeApp

AUTHORITY = "cdn.test:443"
HOST = Source("", AUTHORITY)
JOB, LATER_JOB = uuid4(), uuid4()
DEAD = ImageError("connect_failed")


@pytest.fixture
def app(make_app: MakeApp) -> Iterator[Flask]:
    """Return an application with a fresh ledger; its context is open."""
    app = make_app(worker=True)
    with app.app_context():
        yield app


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that lets the pause of a suspended host pass."""

    def pass_by() -> None:
        monkeypatch.setattr(clock, "ADVANCED", clock.ADVANCED + timedelta(seconds=61))

    return pass_by


def _worker(owner: str = "") -> HostCircuits:
    worker = HostCircuits(pause=60, probe_seconds=30, download_seconds=25)
    worker.look_up(owner, [AUTHORITY])
    return worker


def _fail(worker: HostCircuits, times: int = FAILURES_TO_OPEN, error: ImageError = DEAD) -> None:
    for _ in range(times):
        worker.note(HOST, error, JOB)


@pytest.mark.parametrize("trouble", ["away", "slow"])
def test_a_worker_cut_off_from_the_ledger_blames_no_host(
    app: Flask, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    clock = _Clock()
    monkeypatch.setattr(session, "time", clock)
    worker = _worker()
    with suppress(LedgerUnavailable), reading():
        if trouble == "away":
            raise LedgerUnavailable()
        clock.now += 6
    _fail(worker, 2 * FAILURES_TO_OPEN)
    worker.check(HOST, JOB)
    clock.now += 26
    _fail(worker)
    with pytest.raises(Deferred):
        worker.check(HOST, JOB)


class _Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


def test_a_host_is_suspended_after_failures_in_a_row(app: Flask) -> None:
    worker = _worker()
    _fail(worker, FAILURES_TO_OPEN - 1)
    worker.check(HOST, JOB)
    _fail(worker, 1, SourceStatus(503))
    with pytest.raises(Deferred) as caught:
        worker.check(HOST, JOB)
    assert caught.value.code == "host_suspended"
    assert caught.value.found == "HTTP 503 Service Unavailable"
    assert 50 < (caught.value.retry_after or 0) < 62
    worker.check(Source("", "other.test:443"), JOB)


@pytest.mark.parametrize("between", [None, ImageError("not_an_image"), SourceStatus(404)])
def test_an_answer_between_starts_the_count_again(app: Flask, between: ImageError | None) -> None:
    worker = _worker()
    _fail(worker, FAILURES_TO_OPEN - 1)
    worker.note(HOST, between, JOB)
    _fail(worker, FAILURES_TO_OPEN - 1)
    worker.check(HOST, JOB)


@pytest.mark.parametrize(
    "error",
    [
        HostBusy(AUTHORITY, 5),
        ImageError("internal_error"),
        ImageError("not_an_image"),
        SourceStatus(404),
    ],
)
def test_errors_not_caused_by_the_host_never_suspend_it(app: Flask, error: ImageError) -> None:
    worker = _worker()
    _fail(worker, 50, error)
    worker.check(HOST, JOB)


def test_all_workers_know(app: Flask) -> None:
    _fail(_worker())
    with pytest.raises(Deferred):
        _worker().check(HOST, JOB)


def _open(later: Callable[[], None], times: int) -> None:
    """Open the host's circuit some times in a row, and let the last pause pass."""
    _fail(_worker())
    later()
    for _ in range(times - 1):
        _fail(_worker(), 1)
        later()


def test_one_worker_tries_a_half_open_host_and_a_success_closes_it(
    app: Flask, later: Callable[[], None]
) -> None:
    _open(later, 1)
    first, second = _worker(), _worker()
    assert (first.trying(HOST), second.trying(HOST)) == (True, False)
    first.check(HOST, JOB)
    with pytest.raises(Deferred) as caught:
        second.check(HOST, JOB)
    assert (caught.value.retry_after or 0) < 10
    first.note(HOST, None, JOB)
    assert not first.trying(HOST)
    assert hosts.circuits_of("", [AUTHORITY]) == []
    _worker().check(HOST, JOB)


def test_a_failed_trial_opens_it_again_at_once(app: Flask, later: Callable[[], None]) -> None:
    _open(later, 1)
    worker = _worker()
    _fail(worker, 1)
    with pytest.raises(Deferred):
        worker.check(HOST, JOB)
    (circuit,) = hosts.circuits_of("", [AUTHORITY])
    assert circuit.openings == 2


def test_after_some_openings_in_a_row_images_fail_without_waiting(
    app: Flask, later: Callable[[], None]
) -> None:
    _open(later, OPENINGS_TO_FAIL - 1)
    trying, waiting = _worker(), _worker()
    _fail(trying, 1)
    another = _worker()
    another.check(HOST, JOB)
    another.note(HOST, DEAD, JOB)
    for worker in (trying, another):
        with pytest.raises(ImageError) as caught:
            worker.check(HOST, JOB)
        assert not isinstance(caught.value, Deferred) and not caught.value.retryable
        assert caught.value.message.startswith("connect_failed. The host failed too often")
    with pytest.raises(Deferred):
        waiting.check(HOST, JOB)


def test_a_later_job_tries_a_host_given_up_before_its_images_fail(
    app: Flask, later: Callable[[], None]
) -> None:
    _open(later, OPENINGS_TO_FAIL)
    trying, waiting = _worker(), _worker()
    trying.check(HOST, JOB)
    with pytest.raises(Deferred):
        waiting.check(HOST, JOB)


def test_a_new_job_tries_a_suspended_host_itself(app: Flask, later: Callable[[], None]) -> None:
    _open(later, OPENINGS_TO_FAIL - 1)
    worker = _worker()
    _fail(worker, 1)
    worker.look_up("", [AUTHORITY])
    worker.check(HOST, LATER_JOB)
    assert worker.one_at_a_time(HOST) and not worker.trying(HOST)
    worker.note(HOST, DEAD, LATER_JOB)
    for job in (JOB, LATER_JOB):
        with pytest.raises(ImageError) as caught:
            worker.check(HOST, job)
        assert not isinstance(caught.value, Deferred)


def test_a_job_with_working_urls_closes_the_circuit_of_its_host(
    app: Flask, later: Callable[[], None]
) -> None:
    _open(later, OPENINGS_TO_FAIL - 1)
    worker = _worker()
    _fail(worker, 1)
    worker.check(HOST, LATER_JOB)
    worker.note(HOST, None, LATER_JOB)
    assert hosts.circuits_of("", [AUTHORITY]) == []
    for job in (JOB, LATER_JOB):
        worker.check(HOST, job)


def test_work_goes_on_while_the_ledger_is_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise LedgerUnavailable()

    for name in ("circuits_of", "open_circuit"):
        monkeypatch.setattr(hosts, name, away)
    worker = _worker()
    _fail(worker, 30)
    worker.check(HOST, JOB)


A, B, C = (Source(owner, AUTHORITY) for owner in ("anna", "ben", "cleo"))


def _broken_off() -> ImageError:
    error = ImageError("source_timeout")
    error.answered = True
    return error


@pytest.mark.parametrize("error", [SourceStatus(503), SourceStatus(429), _broken_off()])
def test_responses_suspend_a_host_only_for_their_owner(app: Flask, error: ImageError) -> None:
    error.answered = True
    worker = _worker(A.owner)
    for _ in range(5 * FAILURES_TO_OPEN):
        worker.note(A, error, JOB)
    with pytest.raises(Deferred):
        worker.check(A, JOB)
    for other in (worker, _worker(B.owner)):
        other.look_up(B.owner, [AUTHORITY])
        other.check(B, JOB)
        assert not other.trying(B)


def _unreachable_for(source: Source, later: Callable[[], None], times: int = 1) -> None:
    """Have a host fail without an answer until its circuit has opened so often."""
    for _ in range(times):
        worker = _worker(source.owner)
        for _ in range(FAILURES_TO_OPEN):
            worker.note(source, DEAD, JOB)
        later()


def test_an_unreachable_host_is_suspended_for_all_and_then_tried_for_each(
    app: Flask, later: Callable[[], None]
) -> None:
    worker = _worker(A.owner)
    for _ in range(FAILURES_TO_OPEN):
        worker.note(A, DEAD, JOB)
    waiting = _worker(B.owner)
    with pytest.raises(Deferred):
        waiting.check(B, JOB)
    later()
    trying = {source: _worker(source.owner) for source in (A, B, C)}
    assert all(each.trying(source) for source, each in trying.items())
    assert not _worker(B.owner).trying(B)


def test_no_image_fails_permanently_if_its_host_was_tried_only_for_others(
    app: Flask, later: Callable[[], None]
) -> None:
    _unreachable_for(A, later, times=OPENINGS_TO_FAIL + 2)
    worker = _worker(A.owner)
    worker.note(A, DEAD, JOB)
    with pytest.raises(ImageError) as final:
        worker.check(A, JOB)
    assert not final.value.retryable
    for attempt in range(OPENINGS_TO_FAIL):
        trying = _worker(B.owner)
        assert trying.trying(B), attempt
        trying.note(B, DEAD, JOB)
        with pytest.raises(ImageError) as caught:
            trying.check(B, JOB)
        assert isinstance(caught.value, Deferred) is (attempt < OPENINGS_TO_FAIL - 1)
        later()


@pytest.mark.parametrize("answer", [None, SourceStatus(503), SourceStatus(404)])
def test_a_host_that_answers_one_owner_keeps_no_other_waiting(
    app: Flask, later: Callable[[], None], answer: ImageError | None
) -> None:
    _unreachable_for(A, later)
    if answer is not None:
        answer.answered = True
    _worker(B.owner).note(B, answer, JOB)
    worker = _worker(C.owner)
    worker.check(C, JOB)
    assert not worker.trying(C)


def test_an_answer_to_any_owner_starts_the_count_for_all_again(app: Flask) -> None:
    worker = _worker(A.owner)
    for _ in range(FAILURES_TO_OPEN - 1):
        worker.note(A, DEAD, JOB)
    worker.note(B, None, JOB)
    worker.note(A, DEAD, JOB)
    with pytest.raises(Deferred):
        worker.check(A, JOB)
    _worker(B.owner).check(B, JOB)
