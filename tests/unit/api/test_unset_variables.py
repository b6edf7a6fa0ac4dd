"""What each call answers when a script puts a variable into it that is not set.

Nothing is ever deleted, started or sent that was not meant.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from .conftest import CATALOGUE, Upload
from tests.support.work import process

Case = Callable[..., AbstractContextManager[None]]

# The call, what is empty in it, and the answer. Every part of the document has to be listed here.
EMPTY_PATHS = [
    ("deleteJob", "request_id", 404, "missing_id"),
    ("downloadArchive", "request_id", 404, "missing_id"),
    ("retryJob", "request_id", 404, "missing_id"),
    ("getStatus", "request_id", 404, "missing_id"),
    ("getDetails", "request_id", 404, "missing_id"),
    ("downloadCsv", "request_id", 404, "missing_id"),
    ("cancelJob", "request_id", 404, "missing_id"),
    ("getWebhooks", "request_id", 404, "missing_id"),
    ("redeliverWebhook", "request_id", 404, "missing_id"),
    ("getFeed", "feed_id", 404, "missing_id"),
    ("deleteFeed", "feed_id", 404, "missing_id"),
    ("pauseFeed", "feed_id", 404, "missing_id"),
    ("resumeFeed", "feed_id", 404, "missing_id"),
    ("runFeed", "feed_id", 404, "missing_id"),
    ("getImage", "image_id", 404, "missing_id"),
    ("getImage", "name", 404, "missing_id"),
    ("getImage", "extension", 404, "not_found"),
    ("getImageById", "image_id", 404, "missing_id"),
    ("getImageById", "extension", 404, "missing_id"),
]
EMPTY_QUERIES = [
    ("listJobs", "status", 400, "invalid_request"),
    ("listJobs", "search", 400, "invalid_request"),
    ("listJobs", "page", 400, "invalid_request"),
    ("listJobs", "per_page", 400, "invalid_request"),
    ("deleteJobs", "all", 400, "all_not_confirmed"),
    ("getStatus", "wait", 400, "invalid_request"),
    ("getStatus", "wait_for", 400, "invalid_request"),
    ("getDetails", "status", 400, "invalid_request"),
    ("getDetails", "code", 400, "invalid_request"),
    ("getDetails", "host", 400, "invalid_request"),
    ("getDetails", "found", 400, "invalid_request"),
    ("getDetails", "outcome", 400, "invalid_request"),
    ("getDetails", "change", 400, "invalid_request"),
    ("getDetails", "sort", 400, "invalid_request"),
    ("getDetails", "after", 400, "invalid_request"),
    ("getDetails", "page", 400, "invalid_request"),
    ("getDetails", "per_page", 400, "invalid_request"),
    ("downloadCsv", "partial", 400, "invalid_request"),
    ("downloadCsv", "delimiter", 400, "invalid_request"),
    ("downloadCsv", "output", 400, "invalid_request"),
    ("downloadCsv", "errors", 400, "invalid_request"),
    ("downloadCsv", "report", 400, "invalid_request"),
    ("downloadArchive", "partial", 400, "invalid_request"),
    ("retryJob", "codes", 400, "invalid_request"),
    ("retryJob", "code", 400, "invalid_request"),
    ("retryJob", "host", 400, "invalid_request"),
    ("retryJob", "found", 400, "invalid_request"),
    ("getStats", "from", 400, "invalid_request"),
    ("getStats", "to", 400, "invalid_request"),
    ("getStats", "group_by", 400, "invalid_request"),
    ("redeliverWebhook", "id", 400, "invalid_request"),
]
# They count as left out, as the forms of browsers send them.
EMPTY_FIELDS = [
    ("file", "missing_file"),
    ("csv_url", None),
    ("webhook_url", None),
    ("webhook_secret", None),
    ("email", None),
    ("dry_run", "invalid_dry_run"),
    ("compression_percentage", None),
    ("quality", None),
    ("user_agent", None),
    ("referer", None),
    ("accept_language", None),
    ("format", None),
    ("max_width", None),
    ("max_height", None),
    ("effort", None),
    ("formats", None),
    ("min_score", None),
    ("metadata", None),
    ("output_columns", None),
    ("url_columns", None),
    ("name_column", None),
    ("id_column", None),
    ("base_url", None),
    ("encoding", None),
    ("on_row_error", None),
    ("row_options", None),
    ("sheet", None),
    ("output", None),
    ("since", None),
    ("trust", None),
    ("fresh", None),
]
EMPTY_HEADERS = [
    ("upload", "Idempotency-Key", 400, "invalid_request"),
    # Without keys these are not looked at; test_an_empty_key_is_reported_as_missing has them with keys.
    ("upload", "X-API-Key", 202, None),
    ("upload", "Authorization", 202, None),
    # What guards against other sites takes nothing for granted.
    ("upload", "Origin", 403, "cross_site"),
    ("upload", "Sec-Fetch-Site", 403, "cross_site"),
    ("upload", "X-Request-ID", 202, None),
    ("getStatus", "If-None-Match", 200, None),
    ("getImage", "Range", 404, "image_not_found"),
    ("upload", "Cookie", 202, None),
]
VALUES = {"image_id": str(UUID(int=7)), "name": "front", "extension": "jpg"}


@pytest.fixture
def document(client: FlaskClient) -> Any:
    """Return the OpenAPI document."""
    return client.get("/openapi.json").json


@pytest.fixture
def job(app: Flask, request_id: str) -> str:
    """Return the id of a job that has ended, and of which one image failed."""
    process(app, request_id, fails={1})
    return request_id


@pytest.fixture
def case(client: FlaskClient, job: str, subtests: pytest.Subtests) -> Case:
    """Return a context for one call, after which the job has to be as it was."""
    before = client.get(f"/job/status/{job}").json

    @contextmanager
    def run(*names: str) -> Iterator[None]:
        with subtests.test(" ".join(names)):
            yield
            assert client.get(f"/job/status/{job}").json == before

    return run


def _calls(document: Any) -> Iterator[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Yield the method, the path, the call and the parameters of every call."""
    for path, methods in document["paths"].items():
        shared = methods.get("parameters", [])
        for method, call in methods.items():
            if method != "parameters":
                yield method, path, call, [*shared, *call.get("parameters", [])]


def _send(
    client: FlaskClient, document: Any, operation: str, values: dict[str, str], **options: Any
) -> TestResponse:
    method, path = next(
        (method, path)
        for method, path, call, _ in _calls(document)
        if call["operationId"] == operation
    )
    if operation == "upload":
        options["data"] = {"file": (io.BytesIO(CATALOGUE), "products.csv")}
    return client.open(path.format(**values), method=method, **options)


def _parameters(document: Any, place: str) -> set[tuple[str, str]]:
    return {
        (call["operationId"], parameter["name"])
        for _, _, call, parameters in _calls(document)
        for parameter in parameters
        if parameter["in"] == place
    }


def test_everything_that_can_be_empty_is_listed(document: Any) -> None:
    assert {entry[:2] for entry in EMPTY_PATHS} == _parameters(document, "path")
    assert {entry[:2] for entry in EMPTY_QUERIES} == _parameters(document, "query")
    assert {entry[:2] for entry in EMPTY_HEADERS} >= _parameters(document, "header")
    assert {field for field, _ in EMPTY_FIELDS} == set(
        document["components"]["schemas"]["Upload"]["properties"]
    )


def test_an_empty_part_of_a_path(client: FlaskClient, document: Any, job: str, case: Case) -> None:
    for operation, name, status, code in EMPTY_PATHS:
        values = {"request_id": job, **VALUES} | {name: ""}
        for query in ({}, {"all": "true"}):
            with case(operation, name, str(query)):
                answer = _send(client, document, operation, values, query_string=query)
                assert (answer.status_code, answer.json["code"]) == (status, code)


def test_an_empty_parameter(client: FlaskClient, document: Any, job: str, case: Case) -> None:
    for operation, name, status, code in EMPTY_QUERIES:
        for query in (f"{name}=", name):
            with case(operation, query):
                answer = _send(client, document, operation, {"request_id": job}, query_string=query)
                assert (answer.status_code, answer.json["code"]) == (status, code)
                assert name in answer.json["detail"] + str(answer.json.get("errors"))


def test_an_empty_field(client: FlaskClient, upload: Upload, case: Case) -> None:
    for name, code in EMPTY_FIELDS:
        with case(name):
            answer = (
                client.post("/upload", data={name: ""}, content_type="multipart/form-data")
                if name == "file"
                else upload(**{name: ""})
            )
            assert answer.status_code == (400 if code else 202)
            issues = [issue["code"] for issue in answer.json.get("errors", ())]
            assert issues == ([code] if code else [])


def test_an_empty_field_in_the_address_of_the_upload(
    client: FlaskClient, document: Any, case: Case
) -> None:
    for name, _ in EMPTY_FIELDS:
        if name == "file":
            continue
        with case(name):
            answer = _send(client, document, "upload", {}, query_string={name: ""})
            assert (answer.status_code, answer.json["code"]) == (400, "invalid_upload")
            assert {issue["field"] for issue in answer.json["errors"]} == {name}


def test_an_empty_field_without_a_known_name(upload: Upload, case: Case) -> None:
    for name in ("qualty", ""):
        with case(name):
            answer = upload(**{name: ""})
            assert answer.status_code == 400
            assert [issue["code"] for issue in answer.json["errors"]] == ["unknown_field"]


def test_an_empty_header(client: FlaskClient, document: Any, job: str, case: Case) -> None:
    values = {"request_id": job, **VALUES}
    for operation, name, status, code in EMPTY_HEADERS:
        with case(operation, name):
            answer = _send(client, document, operation, values, headers={name: ""})
            assert answer.status_code == status
            assert answer.json.get("code") == code


def test_a_deletion_without_an_id_is_not_sent_to_another_address(
    client: FlaskClient, case: Case
) -> None:
    """A call with the wrong method and without its id was once redirected to where it had no slash."""
    for call in ("status", "details", "download", "archive", "webhooks"):
        with case(call):
            answer = client.delete(f"/job/{call}/")
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_the_words_for_nothing_in_languages_are_no_ids(
    client: FlaskClient, document: Any, case: Case
) -> None:
    for operation, name, _, _ in EMPTY_PATHS:
        if name == "extension":
            continue
        (kind,) = [kind for kind in ("Image", "Feed") if kind in operation] or ["Job"]
        for word in ("null", "undefined", "None", "$ID", "%20", "{request_id}", "%00"):
            values = dict.fromkeys(("request_id", "feed_id", "image_id", "name"), word)
            values["extension"] = "jpg"
            with case(operation, word):
                answer = _send(client, document, operation, values)
                expected = (404, f"{kind.lower()}_not_found")
                assert (answer.status_code, answer.json["code"]) == expected
