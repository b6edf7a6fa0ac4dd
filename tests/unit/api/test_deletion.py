from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.api import deletion
from imgcompress.errors import StorageUnavailable
from imgcompress.tasks.recover import erase_deleted_jobs

from ..ledger.test_deletion import _let_time_pass
from .conftest import Upload
from .work import images, process

Files = Callable[[], list[Path]]


def test_a_job_goes_with_its_files(app: Flask, client: FlaskClient, request_id: str,
                                   stored_files: Files) -> None:
    process(app, request_id)
    path = urlsplit(images(app, request_id)[0].image_url or "").path
    assert client.get(path, buffered=True).status_code == 200 and len(stored_files()) == 4
    answer = client.delete(f"/job/{request_id}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert client.get(path).status_code == 404 and stored_files() == []
    for call in ("status", "details", "download", "archive", "webhooks"):
        assert client.get(f"/job/{call}/{request_id}").json["code"] == "job_not_found"
    assert client.get("/job").json["jobs"] == [] and images(app, request_id) == []


def test_a_running_job_is_cancelled_and_deleted(app: Flask, client: FlaskClient,
                                                request_id: str) -> None:
    process(app, request_id, only={0})
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.post(f"/job/cancel/{request_id}").status_code == 404


def test_a_job_is_deleted_once(client: FlaskClient, request_id: str) -> None:
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.delete(f"/job/{request_id}").json["code"] == "job_not_found"


@pytest.mark.parametrize("name", ["1", "status", "c1a7e3f0-5a0f-4a8e-9a57-2f5d1c0b7e11", "..%2f.."])
def test_what_is_no_job_is_not_found(client: FlaskClient, name: str) -> None:
    assert client.delete(f"/job/{name}").status_code == 404


def test_all_jobs_go_at_once(client: FlaskClient, upload: Upload, stored_files: Files) -> None:
    for _ in range(3):
        upload()
    answer = client.delete("/job")
    assert (answer.status_code, answer.json) == (200, {"deleted_jobs": 3})
    assert client.get("/job").json["jobs"] == [] and stored_files() == []
    assert client.delete("/job").json == {"deleted_jobs": 0}


def test_what_could_not_be_erased_recovery_erases(
        app: Flask, client: FlaskClient, request_id: str, stored_files: Files,
        monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable(detail="the disk is away")

    monkeypatch.setattr(deletion, "delete_job_files", fail)
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.get(f"/job/status/{request_id}").status_code == 404
    assert len(stored_files()) == 1
    with app.app_context():
        _let_time_pass()
        erase_deleted_jobs()
    assert stored_files() == []


def test_a_large_job_is_left_to_recovery(client: FlaskClient, request_id: str, stored_files: Files,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "IMAGES_ERASED_AT_ONCE", 2)
    assert client.delete(f"/job/{request_id}").status_code == 204
    assert client.get(f"/job/status/{request_id}").status_code == 404
    assert len(stored_files()) == 1
