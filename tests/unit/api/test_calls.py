"""Every HTTP call has an id and a line in the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.worker.slices import log_end

from .conftest import Upload
from tests.support.work import process

Calls = Callable[[], list[tuple[str, dict[str, Any]]]]


@pytest.fixture
def calls(caplog: pytest.LogCaptureFixture) -> Calls:
    """Return a function that returns the level and the facts of each answered call."""
    caplog.set_level(logging.DEBUG, "imgcompress.api.middleware")
    names = ("method", "path", "status", "client", "seconds")
    return lambda: [
        (record.levelname, {name: vars(record)[name] for name in names})
        for record in caplog.records
        if record.getMessage() == "Answered"
    ]


def _bound() -> dict[str, Any]:
    """Return what the last call has bound to its lines."""
    return structlog.contextvars.get_contextvars()


def test_each_call_is_logged_in_one_line_without_its_query(
    client: FlaskClient, calls: Calls
) -> None:
    client.get("/job?status=FAILED")
    client.get("/job?secret=xyzzy")

    for (level, answer), status in zip(calls(), (200, 400), strict=True):
        assert level == "INFO" and 0 <= answer.pop("seconds") < 60
        assert answer == {"method": "GET", "path": "/job", "status": status, "client": "127.0.0.1"}


def test_rejected_calls_are_logged_too(client: FlaskClient, calls: Calls) -> None:
    client.post("/no/such/path")
    client.post("/upload", headers={"Origin": "https://evil.test"})

    assert [answer["status"] for _, answer in calls()] == [404, 403]


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/web/css/foundation.css"])
def test_probes_are_logged_at_debug(client: FlaskClient, calls: Calls, path: str) -> None:
    with client.get(path) as answer:
        assert answer.status_code == 200
    assert [level for level, _ in calls()] == ["DEBUG"]


def test_an_unchanged_poll_is_logged_at_debug(
    client: FlaskClient, calls: Calls, request_id: str
) -> None:
    first = client.get(f"/job/status/{request_id}")
    client.get(f"/job/status/{request_id}", headers={"If-None-Match": first.headers["ETag"]})

    answer = [(level, answer["status"]) for level, answer in calls()]
    assert answer[-2:] == [("INFO", 200), ("DEBUG", 304)]


def test_a_server_error_is_logged_as_a_warning(
    client: FlaskClient, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcompress.api.operations._check", lambda *_: "unavailable")
    assert client.get("/readyz").status_code == 503
    assert [level for level, _ in calls()] == ["WARNING"]


@pytest.mark.parametrize("sent", ["4f0c1b2d", "a.B_c-9", "x" * 64])
def test_a_well_formed_id_is_kept(client: FlaskClient, sent: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] == _bound()["call_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a;ERROR", "x" * 65, "é"])
def test_any_other_id_is_replaced(client: FlaskClient, sent: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_the_job_is_bound_to_the_lines_of_its_calls(client: FlaskClient, upload: Upload) -> None:
    request_id = upload().json["request_id"]
    assert _bound()["request_id"] == request_id
    client.get("/job")
    assert "request_id" not in _bound()
    client.get(f"/job/details/{request_id}")
    assert _bound()["request_id"] == request_id


def test_the_acceptance_of_a_job_is_one_line_with_its_size(
    caplog: pytest.LogCaptureFixture, upload: Upload
) -> None:
    caplog.set_level(logging.INFO, "imgcompress.worker.intake")
    body = upload().json
    (accepted,) = (line for line in caplog.records if line.getMessage() == "Job accepted")
    facts = vars(accepted)
    assert (facts["rows"], facts["images"]) == (body["total_rows"], body["total_images"])
    assert facts["bytes"] > 0


def test_the_end_of_a_job_is_one_line_with_its_counts_bytes_and_time(
    caplog: pytest.LogCaptureFixture, app: Flask, upload: Upload
) -> None:
    body = upload().json
    process(app, body["request_id"], fails={0})
    caplog.set_level(logging.INFO, "imgcompress.worker.slices")
    with app.app_context():
        log_end(UUID(body["request_id"]))
    (ended,) = (line for line in caplog.records if line.name == "imgcompress.worker.slices")
    assert (ended.levelname, ended.getMessage()) == ("INFO", "Job completed")
    facts, images = vars(ended), body["total_images"]
    assert (facts["images"], facts["completed"], facts["failed"]) == (images, images - 1, 1)
    assert facts["bytes"] > facts["bytes_after"] > 0 and facts["seconds"] >= 0


def test_a_job_that_has_not_ended_has_no_line_about_its_end(
    caplog: pytest.LogCaptureFixture, app: Flask, upload: Upload
) -> None:
    request_id = upload().json["request_id"]
    caplog.set_level(logging.INFO, "imgcompress.worker.slices")
    with app.app_context():
        log_end(UUID(request_id))
        log_end(uuid4())
    assert [line for line in caplog.records if line.name == "imgcompress.worker.slices"] == []


def test_a_text_that_is_no_id_is_not_bound(client: FlaskClient) -> None:
    client.get("/job/status/none")
    assert "request_id" not in _bound()
    unknown = str(uuid4())
    client.get(f"/job/status/{unknown}")
    assert _bound()["request_id"] == unknown
