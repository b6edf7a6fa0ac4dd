"""What an address says that leads nowhere, such as one with an empty variable in place of an id."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

WITHOUT_ID = [
    ("GET", "/job/status/", "/job/status/<request_id>"),
    ("GET", "/job/status", "/job/status/<request_id>"),
    ("HEAD", "/job/status/", "/job/status/<request_id>"),
    ("GET", "/job/details/?page=2", "/job/details/<request_id>"),
    ("GET", "/job/download/", "/job/download/<request_id>"),
    ("GET", "/job/archive/", "/job/archive/<request_id>"),
    ("GET", "/job/webhooks/", "/job/webhooks/<request_id>"),
    ("POST", "/job/retry/", "/job/retry/<request_id>"),
    ("POST", "/job/retry", "/job/retry/<request_id>"),
    ("POST", "/job/cancel/", "/job/cancel/<request_id>"),
    ("POST", "/job/webhooks//redeliver", "/job/webhooks/<request_id>/redeliver"),
    ("DELETE", "/job/", "/job/<request_id>"),
    ("GET", "/image/", "/image/<image_id>.<extension>"),
    ("GET", "/image/.jpg", "/image/<image_id>.<extension>"),
]


@pytest.mark.parametrize(("method", "path", "call"), WITHOUT_ID)
def test_a_url_without_its_id_is_reported_as_such(
    client: FlaskClient, method: str, path: str, call: str
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 404 and answer.content_type == "application/problem+json"
    assert "Allow" not in answer.headers
    if method != "HEAD":
        assert answer.json["code"] == "missing_id"
        assert answer.json["detail"].endswith(f"{method} {call}")


def test_a_call_that_deletes_must_not_end_in_a_slash(client: FlaskClient, request_id: str) -> None:
    answer = client.delete(f"/job/{request_id}/")
    assert (answer.status_code, answer.json["code"]) == (404, "trailing_slash")
    assert answer.json["detail"].endswith("DELETE /job/<request_id>")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH"])
def test_nobody_is_advised_to_delete(client: FlaskClient, request_id: str, method: str) -> None:
    for path in ("/job/status/", "/job/status", f"/job/{request_id}", "/job/nothing", "/job/"):
        answer = client.open(path, method=method)
        assert "Use DELETE" not in answer.text and ", DELETE" not in answer.text
    assert set(client.open(f"/job/{request_id}", method=method).headers["Allow"].split(", ")) == {
        "DELETE",
        "OPTIONS",
    }
    assert client.open("/job/nothing", method=method).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "advice"),
    [
        ("PUT", "/job", "Use GET."),
        ("GET", "/upload", "Use POST."),
        ("POST", "/healthz", "Use GET."),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_one(
    client: FlaskClient, method: str, path: str, advice: str
) -> None:
    assert client.open(path, method=method).json["detail"].endswith(advice)


@pytest.mark.parametrize("path", ["/web/nothing.js", "/web/nothing.js/", "/web/", "/docs/static/"])
def test_a_lost_file_of_a_page_is_no_call_without_its_id(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
