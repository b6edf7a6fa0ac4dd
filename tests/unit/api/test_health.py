from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.errors import StorageUnavailable
from imgcompress.extensions import db


def test_the_process_answers(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_without_a_broker_uploads_are_still_taken(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "degraded", "checks": {
        "database": "ok", "storage": "ok", "broker": "unavailable"},
        "oldest_slice_seconds": 0, "clock_ahead_seconds": 0.0})


def test_without_storage_no_upload_is_taken(app: Flask, client: FlaskClient,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StorageUnavailable(detail="/secret/path is full")

    monkeypatch.setattr(app.extensions["storage"], "check", fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json["status"] == "unavailable"
    assert answer.json["checks"]["storage"] == "unavailable" and "/secret" not in answer.text


def test_without_a_ledger_no_upload_is_taken(app: Flask, client: FlaskClient,
                                             database_url: str) -> None:
    with app.app_context():
        db.engine.dispose()
    Path(database_url.removeprefix("sqlite:///")).write_bytes(b"This is no database." * 100)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and answer.json["checks"]["database"] == "unavailable"
