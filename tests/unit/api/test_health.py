from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.api import operations
from imgcompress.errors import LedgerUnavailable, StorageUnavailable
from imgcompress.extensions import db


def test_the_process_answers(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_without_a_broker_uploads_are_still_accepted(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (
        200,
        {
            "status": "degraded",
            "checks": {"database": "ok", "storage": "ok", "broker": "unavailable"},
            "oldest_slice_seconds": 0,
            "clock_ahead_seconds": 0.0,
        },
    )


def test_without_storage_no_upload_is_accepted(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StorageUnavailable(detail="/secret/path is full")

    monkeypatch.setattr(app.extensions["storage"], "check", fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json["status"] == "unavailable"
    assert answer.json["checks"]["storage"] == "unavailable" and "/secret" not in answer.text


def test_without_a_ledger_no_upload_is_accepted(
    app: Flask, client: FlaskClient, database_url: str
) -> None:
    with app.app_context():
        db.engine.dispose()
    Path(database_url.removeprefix("sqlite:///")).write_bytes(b"This is no database." * 100)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json["checks"]["database"] == "unavailable"


class Checks:
    """A storage whose checks are counted, and may be held up or fail."""

    def __init__(self) -> None:
        self.number = 0
        self.fails = False
        self.begun, self.may_end = Event(), Event()
        self.may_end.set()
        self._lock = Lock()

    def check(self) -> None:
        """Count a check, and end it when it may end."""
        with self._lock:
            self.number += 1
        self.begun.set()
        assert self.may_end.wait(30)
        if self.fails:
            raise StorageUnavailable(detail="gone")


@pytest.fixture
def checks(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Checks:
    """Return what counts the checks of the storage."""
    checks = Checks()
    monkeypatch.setattr(app.extensions["storage"], "check", checks.check)
    return checks


def test_simultaneous_probes_share_one_check(app: Flask, checks: Checks) -> None:
    checks.may_end.clear()
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(app.test_client().get, "/readyz")
        assert checks.begun.wait(30)
        others = [pool.submit(app.test_client().get, "/readyz") for _ in range(19)]
        checks.may_end.set()
        answers = [call.result(60) for call in (first, *others)]
    assert {answer.status_code for answer in answers} == {200}
    assert checks.number == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_check_is_cached_for_a_few_seconds(
    client: FlaskClient, checks: Checks, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(operations, "monotonic", lambda: now)
    checks.fails = fails
    first = client.get("/readyz")
    checks.fails = not fails
    now += operations.KEPT_SECONDS - 0.01
    again = client.get("/readyz")
    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert checks.number == 1
    now += 0.02
    assert client.get("/readyz").status_code == (200 if fails else 503)
    assert checks.number == 2


def test_a_ledger_that_fails_during_the_check_is_reported(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> float:
        raise LedgerUnavailable

    monkeypatch.setattr(operations, "clock_difference", fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json["checks"]["database"] == "unavailable"
    assert answer.json["clock_ahead_seconds"] is answer.json["oldest_slice_seconds"] is None
