"""While the database is away, writes are answered with a request to retry, and reads are answered."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress.api.operations import READINESS, Readiness
from imgcompress.extensions import db

from .conftest import Upload
from tests.support.databases import end_connections, set_read_only

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_url(postgres_ledger_url: str) -> str:
    """Return the URL of a fresh ledger on Postgres."""
    return postgres_ledger_url


def _asks_to_come_again(answer: TestResponse) -> bool:
    return (
        answer.status_code == 503
        and answer.json["code"] == "ledger_unavailable"
        and answer.json["retryable"]
        and int(answer.headers["Retry-After"]) > 0
    )


def test_a_read_only_database_takes_no_upload_and_is_not_ready(
    client: FlaskClient, upload: Upload, request_id: str, database_url: str
) -> None:
    assert client.get("/readyz").status_code == 200
    set_read_only(database_url)

    assert _asks_to_come_again(upload())
    assert _asks_to_come_again(client.post(f"/job/cancel/{request_id}"))
    assert _asks_to_come_again(client.delete(f"/job/{request_id}"))
    answer = client.get(f"/job/status/{request_id}")
    assert (answer.status_code, answer.json["status"]) == (200, "PENDING")
    client.application.extensions[READINESS] = Readiness()  # It keeps what it found for seconds.
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["checks"]["database"]) == (503, "unavailable")


def test_a_restart_of_the_database_costs_a_reader_nothing(
    app: Flask, client: FlaskClient, request_id: str, database_url: str
) -> None:
    for _ in range(3):
        assert client.get(f"/job/status/{request_id}").status_code == 200
        with app.app_context():
            assert all(engine.pool.checkedin() for engine in db.engines.values())
        end_connections(database_url)
