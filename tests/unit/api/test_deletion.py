from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.api import jobs
from imgcompress.errors import StorageUnavailable
from imgcompress.worker.maintenance import purge_deleted_jobs

from ..ledger.test_deletion import _let_time_pass
from .conftest import Upload
from tests.support.work import images, process

Files = Callable[[], list[Path]]


def test_a_job_is_deleted_with_its_files(
    app: Flask, client: FlaskClient, request_id: str, stored_files: Files
) -> None:
    process(app, request_id)
    path = urlsplit(images(app, request_id)[0].image_url or "").path
    assert client.get(path, buffered=True).status_code == 200 and len(stored_files()) == 4
    answer = client.delete(f"/job/{request_id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert client.get(path).status_code == 404 and stored_files() == []
    for call in ("status", "details", "download", "archive", "webhooks"):
        assert client.get(f"/job/{call}/{request_id}").json["code"] == "job_not_found"
    assert client.get("/job").json["jobs"] == [] and images(app, request_id) == []


def test_a_running_job_is_cancelled_and_deleted(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, only={0})
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.post(f"/job/cancel/{request_id}").status_code == 404


def test_a_job_is_deleted_once(client: FlaskClient, request_id: str) -> None:
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.delete(f"/job/{request_id}").json["code"] == "job_not_found"


@pytest.mark.parametrize("name", ["1", "status", "c1a7e3f0-5a0f-4a8e-9a57-2f5d1c0b7e11", "..%2f.."])
def test_an_unknown_job_cannot_be_deleted(client: FlaskClient, name: str) -> None:
    assert client.delete(f"/job/{name}").status_code == 404


def test_all_jobs_are_deleted_at_once(
    client: FlaskClient, upload: Upload, stored_files: Files
) -> None:
    for _ in range(3):
        upload()
    answer = client.delete("/job?all=true")
    assert (answer.status_code, answer.json) == (200, {"deleted_jobs": 3})
    assert client.get("/job").json["jobs"] == [] and stored_files() == []
    assert client.delete("/job?all=true").json == {"deleted_jobs": 0}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?all",
        "?all=",
        "?all=false",
        "?all=1",
        "?all=yes",
        "?All=true",
        "?all=true&all=false",
        "?all=&all=true",
        "?status=FAILED",
    ],
)
def test_without_confirmation_no_job_is_deleted(
    client: FlaskClient, request_id: str, stored_files: Files, query: str
) -> None:
    answer = client.delete(f"/job{query}")
    assert (answer.status_code, answer.json["code"]) == (400, "all_not_confirmed")
    assert "all=true" in answer.json["detail"] and "/job/<request_id>" in answer.json["detail"]
    assert client.get(f"/job/status/{request_id}").status_code == 200 and stored_files()


@pytest.mark.parametrize("sent", [{"data": {"all": "true"}}, {"json": {"all": True}}])
def test_only_the_query_confirms(client: FlaskClient, request_id: str, sent: Any) -> None:
    assert client.delete("/job", **sent).json["code"] == "all_not_confirmed"
    assert client.get(f"/job/status/{request_id}").status_code == 200


def test_a_filter_does_not_delete_all_jobs(client: FlaskClient, request_id: str) -> None:
    answer = client.delete("/job?all=true&status=FAILED")
    assert answer.status_code == 400
    assert [issue["code"] for issue in answer.json["errors"]] == ["unknown_parameter"]
    assert client.get(f"/job/status/{request_id}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/job/",
        "/job//",
        "http://localhost//job",
        "/job/?all=true",
        "/job//?all=true",
        "http://localhost//job?all=true",
        "/job/%20",
        "/job/%2F",
        "/job/./?all=true",
        "/job/../job/?all=true",
        "/job/status/",
        "/job/cancel/",
        "/job//?",
        "/job/undefined",
        "/job/null",
        "/job/$UNSET",
    ],
)
def test_no_empty_id_stands_for_all(client: FlaskClient, request_id: str, path: str) -> None:
    answer = client.delete(path, follow_redirects=True)
    assert answer.status_code == 404, path
    assert client.get(f"/job/status/{request_id}").status_code == 200


@pytest.mark.parametrize(
    "spelling", ["/job/{}/", "/job/{}//", "/job//{}", "http://localhost//job/{}"]
)
def test_an_extra_slash_deletes_nothing(
    client: FlaskClient, request_id: str, spelling: str
) -> None:
    answer = client.delete(spelling.format(request_id), follow_redirects=True)
    assert answer.status_code == 404
    assert client.get(f"/job/status/{request_id}").status_code == 200


def test_recovery_purges_jobs_that_could_not_be_purged(
    app: Flask,
    client: FlaskClient,
    request_id: str,
    stored_files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable(detail="the disk is away")

    monkeypatch.setattr(jobs.JobFiles, "delete_job", fail)
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.get(f"/job/status/{request_id}").status_code == 404
    assert len(stored_files()) == 1
    monkeypatch.undo()
    with app.app_context():
        _let_time_pass()
        purge_deleted_jobs()
    assert stored_files() == []


def test_a_large_job_is_left_to_recovery(
    client: FlaskClient, request_id: str, stored_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "IMAGES_ERASED_AT_ONCE", 2)
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.get(f"/job/status/{request_id}").status_code == 404
    assert len(stored_files()) == 1
