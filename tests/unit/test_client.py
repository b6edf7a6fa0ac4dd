"""The client, against the application behind a real web server, and against one that misbehaves."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from imgcompress import client as client_module
from imgcompress.client import Client, ClientError, Job, JobUnfinished, Submission

from .conftest import MakeApp
from tests.support.served import served
from tests.support.work import process

CATALOGUE = (
    b"S. No.,Product Name,Input Image Urls\r\n"
    b'1,SKU1,"https://shop.test/1.jpg,https://shop.test/2.jpg"\r\n'
    b"2,SKU2,https://shop.test/3.png\r\n"
)
NOBODY = "c1a7e3f0-5a0f-4a8e-9a57-2f5d1c0b7e11"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return the application, whose broker is away."""
    return make_app(celery_broker_url="redis://127.0.0.1:1/0")


@pytest.fixture
def client(app: Flask) -> Iterator[Client]:
    """Return a client of the application, served on a free port."""
    with served(app) as url, Client(f"{url}/", patience=0) as client:
        yield client


@pytest.fixture
def job(client: Client) -> str:
    """Return the id of a job with three images."""
    return client.submit(CATALOGUE).request_id


@pytest.fixture
def impatient(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client of a server that the test makes misbehave; its pauses are short."""
    monkeypatch.setattr(client_module, "FIRST_PAUSE", 0.01)
    return Client(httpserver.url_for("").rstrip("/"), "imgc_key", patience=5)


def test_a_job_from_its_file_to_its_results(app: Flask, client: Client, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_bytes(CATALOGUE)
    submission = client.submit(tmp_path / "products.csv", format="webp", max_width=800)
    assert (submission.total_rows, submission.total_images) == (2, 3)
    process(app, submission.request_id, fails={1})
    job = client.wait(submission.request_id)
    assert (job.status, job.completed_images, job.failed_images) == ("COMPLETED", 2, 1)
    assert job.ended and job.finished_at is not None and job.finished_at.tzinfo is not None
    assert job.source_filename == "products.csv"
    (group,) = job.errors
    assert (group.code, group.host, group.count) == ("source_status", "shop.test", 1)

    images = list(client.results(job.request_id))
    assert [image.input_url[-5:] for image in images] == ["1.jpg", "2.jpg", "3.png"]
    (failed,) = client.results(job.request_id, status="FAILED")
    assert failed.error is not None and failed.error.code == "source_status"

    output = client.download(job.request_id, tmp_path / "out.csv")
    rows = list(csv.DictReader(output.read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 2 and "Output Image Urls" in rows[0]
    errors = client.download(job.request_id, tmp_path / "errors.csv", errors=True)
    assert "source_status" in errors.read_text(encoding="utf-8-sig")
    report = client.download(job.request_id, tmp_path / "report.csv", report=True)
    listed = list(csv.DictReader(report.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["URL"][-5:] for row in listed] == ["1.jpg", "2.jpg", "3.png"]
    assert [row["Code"] for row in listed].count("source_status") == 1
    archive = client.archive(job.request_id, tmp_path / "out.zip")
    with zipfile.ZipFile(archive) as files:
        assert len(files.namelist()) == 2
    assert not list(tmp_path.glob(".*.part"))


def test_the_example_of_the_document_works(
    app: Flask,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
    example = document.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "products.csv").write_bytes(CATALOGUE)
    monkeypatch.chdir(tmp_path)
    submit = Client.submit

    def submit_and_process(self: Client, *arguments: Any, **options: Any) -> Submission:
        submission = submit(self, *arguments, **options)
        process(app, submission.request_id, fails={1})
        return submission

    monkeypatch.setattr(Client, "submit", submit_and_process)
    # None of the images failed with the code that the example retries.
    with pytest.raises(ClientError, match="nothing_to_retry"):
        exec(example.replace("https://images.example.com", client.server).replace("…", ""), {})
    assert capsys.readouterr().out.startswith("2 of 3 images, ")
    assert (tmp_path / "out.csv").exists()


def test_results_and_jobs_are_read_page_by_page(
    client: Client, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE", 1)
    assert len(list(client.results(job))) == 3
    assert [entry.request_id for entry in client.jobs()] == [job]
    assert list(client.jobs(status="COMPLETED")) == []


def test_an_upload_that_is_sent_twice_is_one_job(client: Client) -> None:
    first = client.submit(CATALOGUE, idempotency_key="nightly")
    assert client.submit(CATALOGUE, idempotency_key="nightly").request_id == first.request_id
    assert client.submit(CATALOGUE).request_id != first.request_id


def test_a_dry_run_makes_no_job(client: Client) -> None:
    checked = client.submit(CATALOGUE, dry_run=True)
    assert (checked.request_id, checked.total_images) == ("", 3)
    assert not list(client.jobs())


def test_an_invalid_file_is_rejected_with_its_issues(client: Client) -> None:
    with pytest.raises(ClientError) as rejected:
        client.submit(CATALOGUE.replace(b"https://shop.test/3.png", b"htp:/shop"), format="tiff")
    assert rejected.value.status == 400 and rejected.value.issue_count
    assert all(issue.message and issue.code for issue in rejected.value.issues)


def test_a_job_is_cancelled_resumed_and_deleted(client: Client, job: str) -> None:
    assert client.cancel(job).status == "CANCELLED"
    assert client.retry(job).status == "PENDING"
    with pytest.raises(ClientError, match="job_running"):
        client.retry(job)
    client.delete(job)
    with pytest.raises(ClientError, match="job_not_found"):
        client.status(job)


@pytest.mark.parametrize("name", [NOBODY, "1", "", "../upload", "a/b"])
def test_an_unknown_job_is_not_found(client: Client, name: str) -> None:
    for call in (client.status, client.cancel, client.delete):
        with pytest.raises(ClientError, match="job_not_found"):
            call(name)


def test_a_wait_ends_in_time_and_follows_the_changes(
    app: Flask, client: Client, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JobUnfinished) as unfinished:
        client.wait(job, timeout=0.5)
    assert unfinished.value.job.status == "PENDING"
    seen = []

    def work(status: Job) -> None:
        seen.append(status.status)
        if len(seen) == 1:
            process(app, job)

    assert client.wait(job, on_change=work).status == "COMPLETED"
    assert seen == ["PENDING", "COMPLETED"]


def test_a_wait_fetches_no_status_that_it_has_already(
    app: Flask, impatient: Client, job: str, httpserver: HTTPServer
) -> None:
    status = app.test_client().get(f"/job/status/{job}").json
    seen = []

    def answer(request: Request) -> Response:
        seen.append((request.headers.get("If-None-Match"), request.args.get("wait_for")))
        if len(seen) == 2:
            return Response(status=304)
        now = status | ({"status": "COMPLETED"} if len(seen) == 3 else {})
        return Response(json.dumps(now), headers={"ETag": f'"{len(seen)}"'})

    httpserver.expect_request(f"/job/status/{job}").respond_with_handler(answer)
    assert impatient.wait(job).status == "COMPLETED"
    assert seen == [(None, None), ('"1"', "end"), ('"1"', "end")]


def test_a_call_is_sent_again_as_the_service_asks(
    impatient: Client, httpserver: HTTPServer
) -> None:
    keys = []

    def later(request: Request) -> Response:
        keys.append((request.headers["Idempotency-Key"], request.headers["Authorization"]))
        request.files["file"].read()
        if len(keys) < 3:
            return Response("busy", status=503 if len(keys) == 1 else 429)
        return Response('{"request_id": "1", "total_rows": 1, "total_images": 1, "message": ""}')

    httpserver.expect_request("/upload", method="POST").respond_with_handler(later)
    assert impatient.submit(b"a").request_id == "1"
    assert keys == [(keys[0][0], "Bearer imgc_key")] * 3


def test_a_call_is_not_sent_again_when_that_would_take_too_long(
    impatient: Client, httpserver: HTTPServer
) -> None:
    problem = {"code": "too_many_requests", "detail": "Try again later.", "retryable": True}
    httpserver.expect_request("/job/status/1").respond_with_json(
        problem, status=429, headers={"Retry-After": "60"}
    )
    with pytest.raises(ClientError, match="too_many_requests: Try again later"):
        impatient.status("1")
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("method", ["retry", "delete"])
def test_a_call_whose_answer_is_lost_counts_as_done(
    impatient: Client, httpserver: HTTPServer, method: str
) -> None:
    calls = []

    def handle(_: Request) -> Response:
        calls.append(method)
        if len(calls) == 1:
            return Response("lost", status=502)
        code, status = ("job_running", 409) if method == "retry" else ("job_not_found", 404)
        text = f'{{"code": "{code}", "detail": "", "retryable": false}}'
        return Response(text, status=status)

    path = "/job/retry/1" if method == "retry" else "/job/1"
    httpserver.expect_request(path).respond_with_handler(handle)
    job = dict.fromkeys(client_module.Job.__annotations__, None) | {
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "status": "PROCESSING",
        "errors": [],
    }
    httpserver.expect_request("/job/status/1").respond_with_json(job)
    done = getattr(impatient, method)("1")
    assert len(calls) == 2 and (done is None or done.status == "PROCESSING")


def test_a_download_that_breaks_off_leaves_nothing(
    impatient: Client, httpserver: HTTPServer, tmp_path: Path
) -> None:
    def cut(_: Request) -> Response:
        return Response(io.BytesIO(b"half"), headers={"Content-Length": "8"})

    impatient.patience = 0.05
    httpserver.expect_request("/job/download/1").respond_with_handler(cut)
    with pytest.raises(ClientError, match="unreachable"):
        impatient.download("1", tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_url_of_something_else_is_reported(impatient: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/job/status/1").respond_with_data("<html>", status=404)
    with pytest.raises(ClientError, match="no_service.*Check the address"):
        impatient.status("1")
    httpserver.expect_request("/upload").respond_with_data(
        status=301, headers={"Location": "https://images.test/upload"}
    )
    with pytest.raises(ClientError, match="redirected.*https://images.test/upload"):
        impatient.submit(b"a")


def test_an_unreachable_server_is_reported() -> None:
    with pytest.raises(ClientError, match="unreachable.*127.0.0.1:1 .*refused"):
        Client("http://127.0.0.1:1", patience=0).status("1")
