from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from imgcompress.api.job_reports import eta_seconds
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import JobRequest, utcnow
from imgcompress.ledger.results import Success, record_results
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import claim_slice, pending_images

from .conftest import Upload
from tests.support.work import process

TIME = r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z"


@pytest.fixture
def database_url(ledger_url: str) -> str:
    """Return the URL of a fresh ledger, once for each kind of database."""
    return ledger_url


def test_a_new_job_waits(client: FlaskClient, request_id: str) -> None:
    answer = client.get(f"/job/status/{request_id}").json
    assert answer["request_id"] == request_id and answer["status"] == "PENDING"
    assert answer["source_filename"] == "products.csv"
    assert [
        answer[name]
        for name in (
            "total_rows",
            "total_images",
            "completed_images",
            "failed_images",
            "completion_percentage",
            "input_bytes",
            "output_bytes",
        )
    ] == [2, 3, 0, 0, 0, 0, 0]
    assert [
        answer[name] for name in ("started_at", "finished_at", "eta_seconds", "error_message")
    ] == [None] * 4
    assert answer["errors"] == []


def test_times_are_utc_with_a_z(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id)
    answer = client.get(f"/job/status/{request_id}").json
    for name in ("created_at", "updated_at", "started_at", "finished_at"):
        assert re.fullmatch(TIME, answer[name]), name


@pytest.mark.parametrize("column", ["options", "created_at"])
def test_an_ended_job_whose_row_is_damaged_says_so(
    app: Flask,
    client: FlaskClient,
    request_id: str,
    caplog: pytest.LogCaptureFixture,
    database_url: str,
    column: str,
) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("This database refuses such a value.")
    process(app, request_id)
    with app.app_context(), writing() as session:
        session.execute(text(f"UPDATE job_request SET {column} = '{{'"))
    for _ in range(2):
        answer = client.get(f"/job/status/{request_id}")
        assert answer.status_code == 500
        assert answer.json["code"] == "job_unreadable" and not answer.json["retryable"]
        assert "Retry-After" not in answer.headers and column not in answer.json["detail"]
    assert caplog.text.count(f"The row of job {request_id} cannot be read: {column}") == 1
    assert "Traceback" not in caplog.text


GROUP = "code=source_status&host=shop.test&found=HTTP+404+Not+Found"


def test_a_running_job_shows_its_progress_and_its_failures(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, only={0, 1}, fails={1})
    answer = client.get(f"/job/status/{request_id}").json
    assert (answer["status"], answer["completion_percentage"]) == ("PROCESSING", 66)
    assert (answer["completed_images"], answer["failed_images"]) == (1, 1)
    assert (answer["input_bytes"], answer["output_bytes"]) == (4096, 1024)
    assert answer["eta_seconds"] >= 0
    assert answer["errors"] == [
        {
            "code": "source_status",
            "host": "shop.test",
            "found": "HTTP 404 Not Found",
            "count": 1,
            "example_row": 2,
            "details_url": f"http://localhost/job/details/{request_id}?{GROUP}",
            "retry_url": None,
        }
    ]


def test_failures_are_reported_the_most_frequent_first(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    urls = ["http://a.test/1", "http://b.test/1", "http://b.test/2", "http://b.test/3"]
    content = "\n".join(["S. No.,Product Name,Input Image Urls", *(f"1,a,{url}" for url in urls)])
    request_id = upload(content.encode()).json["request_id"]
    process(app, request_id, fails={0, 1, 2, 3})
    answer = client.get(f"/job/status/{request_id}").json
    assert answer["status"] == "FAILED" and answer["error_message"]
    assert [(error["host"], error["count"]) for error in answer["errors"]] == [
        ("b.test", 3),
        ("a.test", 1),
    ]


def test_the_links_of_a_status_work(client: FlaskClient, app: Flask, request_id: str) -> None:
    process(app, request_id, only={0})
    answer = client.get(f"/job/status/{request_id}").json
    for link in ("status_url", "details_url"):
        assert client.get(answer[link]).json["request_id"] == request_id
    assert client.get(answer["download_url"]).json["code"] == "job_running"
    assert client.post(answer["cancel_url"]).json["status"] == "CANCELLED"


def test_unchanged_polls_return_304(app: Flask, client: FlaskClient, request_id: str) -> None:
    path = f"/job/status/{request_id}"
    seen = {"If-None-Match": client.get(path).headers["ETag"]}
    again = client.get(path, headers=seen)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == seen["If-None-Match"]
    process(app, request_id, only={0})
    changed = client.get(path, headers=seen)
    assert changed.status_code == 200 and changed.headers["ETag"] != seen["If-None-Match"]


def test_a_running_job_is_a_304_too(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id, only={0})
    path = f"/job/status/{request_id}"
    seen = {"If-None-Match": client.get(path).headers["ETag"]}
    assert client.get(path, headers=seen).status_code == 304


@pytest.mark.parametrize(("done", "seconds"), [(0, None), (1, 30), (2, 10), (3, 3), (4, 0)])
def test_the_time_to_the_end_follows_from_the_pace(done: int, seconds: int | None) -> None:
    now = utcnow()
    job = JobRequest(
        status="PROCESSING",
        total_images=4,
        completed_images=done,
        failed_images=0,
        done_before=0,
        started_at=now - timedelta(seconds=10),
        updated_at=now,
    )
    assert eta_seconds(job) == seconds


@pytest.mark.parametrize(("done", "seconds"), [(90, None), (91, 90), (95, 10)])
def test_after_a_retry_the_rate_covers_only_the_retried_images(
    done: int, seconds: int | None
) -> None:
    now = utcnow()
    job = JobRequest(
        status="PROCESSING",
        total_images=100,
        completed_images=done,
        failed_images=0,
        done_before=90,
        started_at=now - timedelta(seconds=10),
        updated_at=now,
    )
    assert eta_seconds(job) == seconds


def test_an_ended_job_has_no_time_to_the_end(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    answer = client.get(f"/job/status/{request_id}").json
    assert answer["status"] == "COMPLETED" and answer["eta_seconds"] is None
    assert answer["cancel_url"] is None


@pytest.mark.parametrize(
    "call", ["GET /job/status", "GET /job/details", "GET /job/download", "POST /job/cancel"]
)
@pytest.mark.parametrize(
    "request_id",
    [
        "c1a7e3f0-5a0f-4a8e-9a57-2f5d1c0b7e11",
        "1",
        "not-an-id",
        "00000000000000000000000000000000",
        "{12345678-1234-1234-1234-123456789abc}",
        "%00",
        "é",
    ],
)
def test_an_unknown_job_is_not_found(client: FlaskClient, call: str, request_id: str) -> None:
    method, path = call.split()
    answer = client.open(f"{path}/{request_id}", method=method)
    assert answer.status_code == 404 and answer.json["code"] == "job_not_found"


class TestCancel:
    def test_an_active_job_is_cancelled_once(self, client: FlaskClient, request_id: str) -> None:
        for _ in range(2):
            answer = client.post(f"/job/cancel/{request_id}")
            assert answer.status_code == 200 and answer.json["status"] == "CANCELLED"
            assert answer.json["finished_at"] and answer.json["cancel_url"] is None

    def test_an_ended_job_stays_as_it_is(
        self, app: Flask, client: FlaskClient, request_id: str
    ) -> None:
        process(app, request_id)
        answer = client.post(f"/job/cancel/{request_id}")
        assert answer.status_code == 409 and answer.json["code"] == "job_ended"
        assert client.get(f"/job/status/{request_id}").json["status"] == "COMPLETED"


class TestList:
    def test_jobs_are_listed_the_newest_first(self, client: FlaskClient, upload: Upload) -> None:
        ids = [upload(filename=f"{number}.csv").json["request_id"] for number in range(3)]
        answer = client.get("/job").json
        assert [job["request_id"] for job in answer["jobs"]] == ids[::-1]
        assert (answer["page"], answer["per_page"], answer["next"], answer["prev"]) == (
            1,
            100,
            None,
            None,
        )

    def test_pages_lead_to_each_other(self, client: FlaskClient, upload: Upload) -> None:
        ids = [upload().json["request_id"] for _ in range(3)]
        first = client.get("/job?per_page=2").json
        second = client.get(first["next"]).json
        assert [job["request_id"] for job in first["jobs"] + second["jobs"]] == ids[::-1]
        assert second["next"] is None
        assert client.get(second["prev"]).json == first

    def test_jobs_are_filtered_by_status(
        self, app: Flask, client: FlaskClient, upload: Upload
    ) -> None:
        waiting, cancelled = (upload().json["request_id"] for _ in range(2))
        with app.app_context():
            assert cancel_job(UUID(cancelled))
        for status, expected in (
            ("PENDING", [waiting]),
            ("CANCELLED", [cancelled]),
            ("FAILED", []),
        ):
            answer = client.get(f"/job?status={status}").json
            assert [job["request_id"] for job in answer["jobs"]] == expected

    @pytest.mark.parametrize(
        "query",
        [
            "status=DONE",
            "page=0",
            "page=x",
            "per_page=1001",
            "page=99999999999999999999",
            "per_page=",
        ],
    )
    def test_a_bad_query_is_rejected_by_name(self, client: FlaskClient, query: str) -> None:
        answer = client.get(f"/job?{query}")
        assert answer.status_code == 400 and answer.json["code"] == "invalid_request"
        field = query.split("=")[0]
        (issue,) = answer.json["errors"]
        assert (issue["field"], issue["code"]) == (field, f"invalid_{field}")
        assert field in issue["message"]


def test_the_status_counts_scores_and_advice(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    """Scores are counted over all batches; what another format would save is summed by format."""
    assert client.get(f"/job/status/{request_id}").json["scores"] is None
    with app.app_context():
        claim = claim_slice(UUID(request_id), 0, lease_seconds=60)
        for image, (score, advice) in zip(
            pending_images(claim), [(95.9, None), (71.2, ("webp", 300)), (71.9, ("webp", 400))]
        ):
            format, size = advice or (None, None)
            success = Success(
                image,
                "floor_reached",
                1_000,
                900,
                20,
                10,
                "png",
                "png",
                None,
                score,
                f"images/{image.image_id}",
                advice_format=format,
                advice_bytes=size,
            )
            record_results(claim, [success], lease_seconds=60)
    status = client.get(f"/job/status/{request_id}").json
    assert status["scores"] == {
        "median": 71,
        "lowest": 71,
        "rating": "high",
        "images": [
            {"rating": "visually lossless", "count": 1},
            {"rating": "high", "count": 2},
            {"rating": "medium", "count": 0},
            {"rating": "low", "count": 0},
        ],
    }
    assert status["advice"] == [{"format": "webp", "images": 2, "saved_bytes": 600 + 500}]
    images = client.get(f"/job/details/{request_id}").json["images"]
    assert [image["advice"] and image["advice"]["saved_percentage"] for image in images] == [
        None,
        70,
        60,
    ]
    assert images[1]["advice"]["output_bytes"] == 300
    assert "format=webp" in images[1]["advice"]["message"]
