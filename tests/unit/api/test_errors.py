"""Problems as callers see them; no path leads out of what is served, however it is spelled."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.errors import LedgerUnavailable
from imgcompress.ledger import queries

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "retryable"}


def test_an_unknown_path_is_a_problem(client: FlaskClient) -> None:
    answer = client.get("/no/such path")
    assert answer.status_code == 404 and answer.content_type == "application/problem+json"
    assert set(answer.json) == MEMBERS
    assert (answer.json["code"], answer.json["instance"]) == ("not_found", "/no/such%20path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/upload", {"POST", "OPTIONS"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/job", {"GET", "HEAD", "DELETE", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == 405 and answer.json["code"] == "method_not_allowed"
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_an_unforeseen_error_reveals_nothing_and_is_logged(
    client: FlaskClient,
    request_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret is xyzzy")

    monkeypatch.setattr(queries, "find_job", fail)
    answer = client.get(f"/job/status/{request_id}")
    assert answer.status_code == 500 and answer.content_type == "application/problem+json"
    assert answer.json["code"] == "internal_error" and set(answer.json) == MEMBERS
    assert "xyzzy" not in answer.text and "Traceback" not in answer.text
    assert "xyzzy" in caplog.text


def test_an_unavailable_ledger_is_a_retryable_error(
    client: FlaskClient, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerUnavailable(detail="postgresql://user:password@host/")

    monkeypatch.setattr(queries, "find_job", fail)
    answer = client.get(f"/job/status/{request_id}")
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    assert answer.json["retryable"] is True and "password" not in answer.text


def test_a_log_line_cannot_be_forged_by_a_path(
    client: FlaskClient, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.route("/broken/<name>")
    def broken(name: str) -> str:
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR):
        assert client.get("/broken/a%0aERROR%20forged").status_code == 500
    assert "\nERROR forged" not in caplog.records[-1].getMessage()


@pytest.mark.parametrize("path", ["/healthz", "/job", "/no/such/path", "/openapi.json"])
def test_every_response_has_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/healthz", "/job", "/no/such/path", "/"])
@pytest.mark.parametrize(
    ("address", "strict"),
    [
        ("https://203.0.113.9", True),
        ("http://203.0.113.9", False),
        ("https://localhost:8443", False),
        ("https://app.localhost", False),
        ("http://localhost", False),
    ],
)
def test_browsers_stay_on_tls(client: FlaskClient, path: str, address: str, strict: bool) -> None:
    headers = client.get(path, base_url=address).headers
    assert headers.get("Strict-Transport-Security") == ("max-age=31536000" if strict else None)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/job", "/openapi.json"])
def test_a_trailing_slash_is_no_error(client: FlaskClient, path: str) -> None:
    assert client.get(f"{path}/").status_code == 200


def test_a_trailing_slash_is_no_error_after_an_id(client: FlaskClient, request_id: str) -> None:
    for call in ("status", "details"):
        assert client.get(f"/job/{call}/{request_id}/").status_code == 200
    assert client.post("/upload/").json["code"] == "invalid_upload"


SPELLINGS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "..\\..\\etc\\passwd",
    "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "....//....//etc/passwd",
    "..;/..;/etc/passwd",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "..%c0%af..%c0%afetc%c0%afpasswd",
    "..%ef%bc%8f..%ef%bc%8fetc%ef%bc%8fpasswd",
    "%uff0e%uff0e/etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "%00",
    "passwd%00.jpg",
    "..%00/..%00/etc/passwd",
    ".",
    "..",
    "...",
    "~root",
    "C:\\Windows\\win.ini",
    "%0d%0aSet-Cookie:a",
    "a" * 4000,
    "../imgcompress.sqlite3",
    "..%2f..%2fwebhook_secret",
]


@pytest.mark.parametrize(
    "prefix", ["/image/", "/job/status/", "/job/download/", "/job/archive/", "/job/details/"]
)
@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_no_spelling_of_a_path_leads_out(client: FlaskClient, prefix: str, ending: str) -> None:
    for spelling in SPELLINGS:
        answer = client.get(f"{prefix}{spelling}{ending}", buffered=True)
        assert answer.status_code == 404, (spelling, answer.text)
        assert answer.content_type == "application/problem+json", spelling
        assert "root:" not in answer.text and "Traceback" not in answer.text, spelling
        assert "Set-Cookie" not in answer.headers, spelling
