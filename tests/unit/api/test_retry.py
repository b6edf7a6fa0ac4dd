from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.work import images, process


@pytest.fixture
def ended(app: Flask, request_id: str) -> str:
    """Return the id of a job whose second image failed."""
    process(app, request_id, fails={1})
    return request_id


def _statuses(app: Flask, request_id: str) -> list[str]:
    return [image.status for image in images(app, request_id)]


def test_failed_images_are_tried_again(app: Flask, client: FlaskClient, ended: str) -> None:
    answer = client.post(f"/job/retry/{ended}")
    assert answer.status_code == 202
    result = answer.json
    assert (result["request_id"], result["status"]) == (ended, "PENDING")
    assert (result["completed_images"], result["failed_images"]) == (2, 0)
    assert result["completion_percentage"] == 66 and result["errors"] == []
    process(app, ended)
    result = client.get(f"/job/status/{ended}").json
    assert (result["status"], result["completed_images"], result["failed_images"]) == (
        "COMPLETED",
        3,
        0,
    )


@pytest.mark.parametrize(
    "query",
    [
        "codes=source_status",
        "codes=tls_invalid,source_status",
        "codes=tls_invalid&codes=source_status",
        "codes=+source_status+,",
    ],
)
def test_codes_are_words_with_commas_or_repeated(
    app: Flask, client: FlaskClient, ended: str, query: str
) -> None:
    assert client.post(f"/job/retry/{ended}?{query}").status_code == 202
    assert _statuses(app, ended) == ["COMPLETED", "PENDING", "COMPLETED"]


@pytest.mark.parametrize("codes", ["", "+", ",", "&codes="])
def test_empty_codes_do_not_stand_for_all(
    app: Flask, client: FlaskClient, ended: str, codes: str
) -> None:
    answer = client.post(f"/job/retry/{ended}?codes={codes}")
    assert answer.status_code == 400 and "leave codes out" in answer.json["errors"][0]["message"]
    assert _statuses(app, ended) == ["COMPLETED", "FAILED", "COMPLETED"]


def test_where_no_code_matches_there_is_nothing_to_retry(
    app: Flask, client: FlaskClient, ended: str
) -> None:
    answer = client.post(f"/job/retry/{ended}?codes=tls_invalid")
    assert (answer.status_code, answer.json["code"]) == (409, "nothing_to_retry")
    assert _statuses(app, ended)[1] == "FAILED"


def test_a_job_without_failures_has_nothing_to_retry(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    assert client.get(f"/job/status/{request_id}").json["retry_url"] is None
    assert client.post(f"/job/retry/{request_id}").json["code"] == "nothing_to_retry"


def test_an_unknown_code_is_rejected_by_name(client: FlaskClient, ended: str) -> None:
    answer = client.post(f"/job/retry/{ended}?codes=source_status,404")
    assert answer.status_code == 400
    (issue,) = answer.json["errors"]
    assert issue["field"] == "codes" and "source_timeout" in issue["message"]


def test_a_running_job_is_not_retried(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id, only={0}, fails={0})
    answer = client.post(f"/job/retry/{request_id}")
    assert (answer.status_code, answer.json["code"]) == (409, "job_running")
    assert "partial" not in answer.json["detail"]


def test_the_link_of_the_status_retries(client: FlaskClient, ended: str) -> None:
    link = client.get(f"/job/status/{ended}").json["retry_url"]
    answer = client.post(link).json
    assert answer["status"] == "PENDING" and answer["retry_url"] is None


def test_a_cancelled_job_can_go_on(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id, only={0})
    client.post(f"/job/cancel/{request_id}")
    assert client.post(f"/job/retry/{request_id}").json["status"] == "PENDING"
    process(app, request_id)
    assert _statuses(app, request_id) == ["COMPLETED"] * 3
