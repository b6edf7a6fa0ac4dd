"""Images by their failure, their outcome and their size; and the retry of one kind of failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.ledger import queries
from imgcompress.ledger.results import Failure, Result, Success, record_results
from imgcompress.ledger.slices import PendingImage, claim_slice, pending_images

from .conftest import Upload

Outcome = Callable[[PendingImage], Result]


def failed(code: str, found: str = "") -> Outcome:
    """Return what makes an image fail in this way."""
    message = f"{found}. Advice." if found else "Advice."
    return lambda image: Failure(image, code, message, found)


def compressed(before: int, after: int, outcome: str = "target_met") -> Outcome:
    """Return what makes an image end with this outcome."""
    return lambda image: Success(
        image, outcome, before, after, 20, 10, "jpeg", "jpg", 60, 0.98, f"images/{image.image_id}"
    )


FORBIDDEN = "HTTP 403 Forbidden"
GONE = "HTTP 404 Not Found"
IMAGES: list[tuple[str, Outcome]] = [
    ("https://a.test/0.jpg", failed("source_status", FORBIDDEN)),
    ("HTTPS://A.test:443/1.jpg", failed("source_status", GONE)),
    ("https://a.test.evil/2.jpg", failed("source_status", FORBIDDEN)),
    ("http://b.test?3", failed("connect_failed")),
    ("https://a.test/4.html", failed("not_an_image", "A web page")),
    ("https://b.test/5.jpg", compressed(9_000, 4_000)),
    ("https://b.test/6.jpg", compressed(10_000, 9_500, "floor_reached")),
    ("https://b.test/7.jpg", compressed(500, 500, "already_small")),
    ("http://[2606:4700::1]/8.jpg", failed("connect_failed")),
    ("https://b.test/9.jpg", compressed(9_000, 4_500)),
]


@pytest.fixture
def database_url(ledger_url: str) -> str:
    """Return the URL of a fresh ledger, once for each kind of database."""
    return ledger_url


@pytest.fixture
def job(app: Flask, upload: Upload) -> str:
    """Return the id of a job that has ended as IMAGES say."""
    rows = [f"{number},SKU,{url}" for number, (url, _) in enumerate(IMAGES)]
    content = "\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()
    request_id: str = upload(content).json["request_id"]
    finish(app, request_id)
    return request_id


def finish(app: Flask, request_id: str) -> None:
    """Let a worker end what waits in the job, as IMAGES say."""
    with app.app_context():
        claim = claim_slice(UUID(request_id), 0, lease_seconds=60)
        assert claim is not None
        results = [IMAGES[image.ordinal][1](image) for image in pending_images(claim)]
        assert record_results(claim, results, lease_seconds=60)


def walk(client: FlaskClient, path: str, most_pages: int = 20) -> list[int]:
    """Return the numbers of all images that the links of `next` lead to."""
    numbers: list[int] = []
    url: str | None = path
    for _ in range(most_pages):
        if url is None:
            return numbers
        answer = client.get(url).json
        numbers += [int(image["serial_number"]) for image in answer["images"]]
        url = answer["next"]
    raise AssertionError("the links of next do not end")


FOUND = {
    "code=source_status": [0, 1, 2],
    "host=a.test": [0, 1, 4],
    "code=source_status&host=a.test": [0, 1],
    f"code=source_status&host=a.test&found={FORBIDDEN}": [0],
    "host=b.test": [3],
    "host=2606:4700::1": [8],
    "host=%25": [],
    "status=FAILED&code=connect_failed": [3, 8],
    "outcome=target_met": [5, 9],
    "outcome=larger": [],
    "sort=size": [6, 9, 5, 7],
    "sort=saved": [5, 9, 6, 7],
    "sort=saved&status=COMPLETED": [5, 9, 6, 7],
}


def test_images_are_found_by_their_failure_outcome_and_size(
    client: FlaskClient, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for looked_at, per_page in [(3, 1), (3, 2), (20_000, 2), (20_000, 100)]:
        monkeypatch.setattr(queries, "MOST_SCANNED", looked_at)
        for query, numbers in FOUND.items():
            path = f"/job/details/{job}?{query}&per_page={per_page}"
            assert walk(client, path) == numbers, path
    for query, numbers in FOUND.items():
        total = client.get(f"/job/details/{job}?{query}").json["total"]
        assert total == (None if "outcome" in query else len(numbers)), query


def test_a_sorted_list_has_numbered_pages(client: FlaskClient, job: str) -> None:
    answer = client.get(f"/job/details/{job}?sort=size&per_page=1&page=3").json
    assert [image["input_bytes"] for image in answer["images"]] == [9_000]
    assert client.get(answer["prev"]).json["page"] == 2


REJECTED = {
    "code=lost": "code",
    "sort=name": "sort",
    "code=source_status&sort=size": "sort",
    "host=a.test&outcome=larger": "outcome",
    "host=a.test&status=COMPLETED": "status",
    "outcome=larger&status=FAILED": "status",
    "outcome=larger&sort=size": "sort",
    "outcome=larger&page=2": "page",
    "sort=size&per_page=1000&page=102": "page",
}


def test_filters_that_match_no_image_are_rejected(client: FlaskClient, job: str) -> None:
    for query, field in REJECTED.items():
        answer = client.get(f"/job/details/{job}?{query}")
        assert answer.status_code == 400, query
        assert [issue["field"] for issue in answer.json["errors"]] == [field], query


def groups(client: FlaskClient, job: str) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    """Return the failures of the job by code, host and what was found."""
    errors = client.get(f"/job/status/{job}").json["errors"]
    return {(error["code"], error["host"], error["found"]): error for error in errors}


def test_the_links_of_a_failure_lead_to_its_images(client: FlaskClient, job: str) -> None:
    found = groups(client, job)
    assert sorted(error["count"] for error in found.values()) == [1] * 6
    for error in found.values():
        answer = client.get(error["details_url"]).json
        assert (answer["total"], len(answer["images"])) == (error["count"], error["count"])
        assert answer["images"][0]["row_number"] == error["example_row"]


def test_one_kind_of_failure_can_be_retried(app: Flask, client: FlaskClient, job: str) -> None:
    answer = client.post(groups(client, job)["source_status", "a.test", FORBIDDEN]["retry_url"])
    assert (answer.status_code, answer.json["failed_images"]) == (202, 5)
    waiting = walk(client, f"/job/details/{job}?status=PENDING")
    assert waiting == [0]
    assert ("source_status", "a.test", FORBIDDEN) not in groups(client, job)
    finish(app, job)
    assert len(groups(client, job)) == 6
    assert client.post(f"/job/retry/{job}?host=2606:4700::1").json["failed_images"] == 5


def test_no_retry_is_offered_where_it_cannot_help(client: FlaskClient, job: str) -> None:
    assert groups(client, job)["not_an_image", "a.test", "A web page"]["retry_url"] is None
    answer = client.post(f"/job/retry/{job}?code=not_an_image&host=a.test")
    assert (answer.status_code, answer.json["code"]) == (409, "retry_cannot_help")
    assert "This is not an image URL" in answer.json["detail"]
    assert client.get(f"/job/status/{job}").json["status"] == "COMPLETED"


def test_a_group_without_images_is_rejected_also_when_the_job_was_cancelled(
    client: FlaskClient, upload: Upload, job: str
) -> None:
    answer = client.post(f"/job/retry/{job}?code=connect_failed&host=a.test")
    assert (answer.status_code, answer.json["code"]) == (409, "nothing_to_retry")
    cancelled = upload().json["request_id"]
    client.post(f"/job/cancel/{cancelled}")
    assert client.post(f"/job/retry/{cancelled}?host=shop.test").status_code == 409
    assert client.get(f"/job/status/{cancelled}").json["status"] == "CANCELLED"


def test_jobs_are_found_by_a_part_of_their_file_name(client: FlaskClient, upload: Upload) -> None:
    for name in ("Autumn 100%.csv", "autumn_sale.csv", "spring.csv"):
        upload(filename=name)
    found = {
        search: [
            job["source_filename"]
            for job in client.get("/job", query_string={"search": search}).json["jobs"]
        ]
        for search in ("AUTUMN", "100%", "%", "_", "winter")
    }
    assert found == {
        "AUTUMN": ["autumn_sale.csv", "Autumn 100%.csv"],
        "100%": ["Autumn 100%.csv"],
        "%": ["Autumn 100%.csv"],
        "_": ["autumn_sale.csv"],
        "winter": [],
    }
    answer = client.get("/job?search=autumn&per_page=1&status=PENDING").json
    assert client.get(answer["next"]).json["jobs"][0]["source_filename"] == "Autumn 100%.csv"
