"""A table that the service fetches by itself: the job, or the reason why there is none."""

from __future__ import annotations

import gzip
import io
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress.api import upload
from imgcompress.config import Settings

from .conftest import CATALOGUE
from tests.origin import PlainOrigin
from tests.support.work import images, job

PAGE = b"\xef\xbb\xbf\n <!DOCTYPE html><html><title>Sign in</title></html>"
StoredFiles = Callable[[], list[Path]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that fetches from this machine, 64 KiB at most."""
    return replace(
        settings,
        allowed_private_networks=(ip_network("127.0.0.1/32"),),
        allowed_ports=((1, 65_535),),
        max_upload_bytes=64 * 1024,
    )


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin with a table."""
    with PlainOrigin({"/export/autumn.csv": (200, "text/csv", CATALOGUE)}) as origin:
        yield origin


@pytest.fixture
def send(client: FlaskClient) -> Callable[..., TestResponse]:
    """Return a function that uploads by an address."""

    def post(url: str, *, key: str | None = None, **fields: Any) -> TestResponse:
        return client.post(
            "/upload",
            data={"csv_url": url, **fields},
            content_type="multipart/form-data",
            headers={"Idempotency-Key": key} if key else {},
        )

    return post


Send = Callable[..., TestResponse]


def _issue(answer: TestResponse) -> dict[str, Any]:
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_upload"), answer.text
    (issue,) = answer.json["errors"]
    assert issue["field"] == "csv_url"
    result: dict[str, Any] = issue
    return result


def test_a_table_is_fetched_and_made_a_job_of(
    app: Flask, send: Send, origin: PlainOrigin, stored_files: StoredFiles
) -> None:
    answer = send(origin.url("/export/autumn.csv"), quality="60", user_agent="ShopBot/1.0")
    assert answer.status_code == 202, answer.text
    assert (answer.json["total_rows"], answer.json["total_images"]) == (2, 3)
    made = job(app, answer.json["request_id"])
    assert made.source_filename == "autumn.csv" and made.options["quality"] == 60
    assert [image.row_number for image in images(app, answer.json["request_id"])] == [2, 2, 3]
    assert [path.read_bytes() for path in stored_files()] == [CATALOGUE]
    (request,) = origin.requests
    assert request.headers["user-agent"] == "ShopBot/1.0"
    assert request.headers["accept"].startswith("text/csv")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="Sheet 1.csv"', "Sheet 1.csv"),
        ("attachment", "export"),
        ("attachment; filename*=UTF-8''%C3%84pfel.csv", "Äpfel.csv"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
    ],
)
def test_a_table_has_the_name_that_its_server_sends(
    app: Flask, send: Send, origin: PlainOrigin, disposition: str, name: str
) -> None:
    origin.files["/d/1/export?format=csv"] = (200, "text/csv", CATALOGUE)
    origin.headers["/d/1/export?format=csv"] = {"Content-Disposition": disposition}
    answer = send(origin.url("/d/1/export?format=csv"))
    assert job(app, answer.json["request_id"]).source_filename == name


def test_a_table_may_be_compressed_and_redirected(send: Send, origin: PlainOrigin) -> None:
    origin.files["/old"] = (302, "text/plain", b"moved")
    origin.headers["/old"] = {"Location": "/new"}
    origin.files["/new"] = (200, "text/csv", gzip.compress(CATALOGUE))
    origin.headers["/new"] = {"Content-Encoding": "gzip"}
    assert send(origin.url("/old")).json["total_images"] == 3


@pytest.mark.parametrize(
    ("path", "answer", "code", "says"),
    [
        ("/page", (200, "text/html", PAGE), "csv_url_not_a_table", "web page"),
        ("/page.csv", (200, "text/csv", PAGE), "csv_url_not_a_table", "web page"),
        ("/large", (200, "text/csv", CATALOGUE * 800), "csv_url_too_large", "0.0625 MiB"),
        (
            "/large.gz",
            (200, "text/csv", gzip.compress(CATALOGUE * 800)),
            "csv_url_too_large",
            "Split",
        ),
        ("/gone", (404, "text/html", PAGE), "csv_url_unreachable", "HTTP 404 Not Found"),
        ("/failing", (503, "text/html", PAGE), "csv_url_unreachable", "HTTP 503"),
        ("/inside", (302, "text/plain", b""), "csv_url_not_allowed", "public"),
        ("/loop", (302, "text/plain", b""), "csv_url_unreachable", "More than 5 redirects"),
    ],
)
@pytest.mark.parametrize("dry_run", [None, "true"])
def test_a_response_that_is_not_a_table_is_reported(
    client: FlaskClient,
    send: Send,
    origin: PlainOrigin,
    stored_files: StoredFiles,
    path: str,
    answer: tuple[int, str, bytes],
    code: str,
    says: str,
    dry_run: str | None,
) -> None:
    origin.files[path] = answer
    origin.headers = {
        "/large.gz": {"Content-Encoding": "gzip"},
        "/inside": {"Location": "http://169.254.169.254/latest/meta-data/"},
        "/loop": {"Location": "/loop"},
    }
    issue = _issue(send(origin.url(path), **({"dry_run": dry_run} if dry_run else {})))
    assert issue["code"] == code and says in issue["message"]
    assert client.get("/job").json["jobs"] == [] and stored_files() == []


def test_a_server_that_is_away_is_reported(send: Send) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        issue = _issue(send(f"http://127.0.0.1:{closed.getsockname()[1]}/a.csv"))
    assert issue["code"] == "csv_url_unreachable"
    assert "could not connect to the server" in issue["message"]


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/a.csv",
        "file:///etc/passwd",
        "products.csv",
        "http://user:secret@shop.test/a.csv",
        "http://[::1]/",
    ],
)
def test_a_forbidden_address_is_rejected_before_it_is_fetched(send: Send, url: str) -> None:
    assert _issue(send(url))["code"] == "invalid_csv_url"


def test_issues_of_the_table_are_reported_with_their_rows(send: Send, origin: PlainOrigin) -> None:
    origin.files["/bad.csv"] = (200, "text/csv", CATALOGUE + b"3,SKU3,nothing\r\n")
    answer = send(origin.url("/bad.csv"))
    assert answer.status_code == 400
    assert [(issue["field"], issue["row"], issue["code"]) for issue in answer.json["errors"]] == [
        ("file", 4, "invalid_url")
    ]
    report = send(origin.url("/bad.csv"), dry_run="true").json
    assert (report["total_rows"], report["error_count"]) == (3, 1)


def test_a_dry_run_stores_nothing(
    send: Send, origin: PlainOrigin, stored_files: StoredFiles
) -> None:
    report = send(origin.url("/export/autumn.csv"), dry_run="true").json
    assert (report["total_images"], report["error_count"]) == (3, 0)
    assert stored_files() == []


def test_a_file_and_an_address_exclude_each_other(client: FlaskClient, origin: PlainOrigin) -> None:
    answer = client.post(
        "/upload",
        data={
            "csv_url": origin.url("/export/autumn.csv"),
            "file": (io.BytesIO(CATALOGUE), "a.csv"),
        },
    )
    issue = _issue(answer)
    assert issue["code"] == "invalid_csv_url" and "not both" in issue["message"]
    assert not origin.requests


def test_an_idempotency_key_stands_for_the_address_not_its_content(
    send: Send, origin: PlainOrigin
) -> None:
    url = origin.url("/export/autumn.csv")
    first = send(url, key="autumn")
    origin.files["/export/autumn.csv"] = (404, "text/plain", b"gone")
    again = send(url, key="autumn")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json and again.headers["Idempotency-Replayed"] == "true"
    assert len(origin.requests) == 1
    other = send(origin.url("/other.csv"), key="autumn")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


def test_a_key_is_free_again_when_the_table_could_not_be_fetched(
    send: Send, origin: PlainOrigin
) -> None:
    url = origin.url("/late.csv")
    assert _issue(send(url, key="late"))["code"] == "csv_url_unreachable"
    origin.files["/late.csv"] = (200, "text/csv", CATALOGUE)
    assert send(url, key="late").status_code == 202


def test_no_owner_takes_all_places_and_no_fetch_keeps_its_own(
    send: Send, origin: PlainOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_OF_OWNER", 1)
    url = origin.url("/export/autumn.csv")
    with upload._place("anna"), upload._place("ben"):
        assert send(url).status_code == 202
    with upload._place(""):
        answer = send(url)
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_fetches")
        assert answer.json["retryable"] and answer.headers["Retry-After"]
    assert [send(url).status_code for _ in range(2)] == [202, 202]
    monkeypatch.setattr(upload, "MOST_AT_ONCE", 1)
    with upload._place("anna"):
        assert send(url).status_code == 429
