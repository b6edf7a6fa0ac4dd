"""Queries: a parameter that a call does not know, or that is empty, is refused at every call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.work import process

Call = tuple[str, str, list[str]]


@pytest.fixture
def calls(app: Flask, client: FlaskClient, request_id: str) -> list[Call]:
    """Return the method, the address and the query parameters of every documented call.

    The upload refuses by itself what is wrong, and images are open to the parameters of shops.
    """
    process(app, request_id, fails={1})
    return list(_calls(client.get("/openapi.json").json, request_id))


def _calls(document: Any, request_id: str) -> Iterator[Call]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            if method != "parameters" and call["operationId"] not in (
                "upload",
                "getImage",
                "getImageById",
            ):
                names = [
                    parameter["name"]
                    for parameter in call.get("parameters", ())
                    if parameter["in"] == "query"
                ]
                yield method, path.format(request_id=request_id, feed_id=uuid4()), names


def test_every_call_names_a_parameter_that_it_does_not_know(
    client: FlaskClient, calls: list[Call]
) -> None:
    for method, path, names in [*calls, ("get", "/openapi.json", [])]:
        confirmation = {"all": "true"} if "all" in names else {}
        answer = client.open(path, method=method, query_string={"stat": "FAILED"} | confirmation)
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_request"), path
        (issue,) = answer.json["errors"]
        assert (issue["field"], issue["code"], issue["value"]) == (
            "stat",
            "unknown_parameter",
            "FAILED",
        )
        assert "“stat”" in issue["message"]
        for name in names:
            assert name in issue["message"]
    assert client.get("/job").json["jobs"][0]["failed_images"] == 1


def test_no_call_treats_an_empty_parameter_as_a_missing_one(
    client: FlaskClient, calls: list[Call]
) -> None:
    empty = [(method, path, name) for method, path, names in calls for name in names]
    assert len(empty) >= 12
    for method, path, name in empty:
        answer = client.open(path, method=method, query_string={name: ""})
        assert answer.status_code == 400, (path, name)
        assert name in answer.json["detail"] + str(answer.json.get("errors"))
    assert client.get("/job").json["jobs"][0]["failed_images"] == 1


def test_unknown_and_invalid_parameters_are_named_together(client: FlaskClient) -> None:
    answer = client.get("/job?pages=2&status=DONE&per-page=5")
    assert [(issue["field"], issue["code"]) for issue in answer.json["errors"]] == [
        ("pages", "unknown_parameter"),
        ("per-page", "unknown_parameter"),
        ("status", "invalid_status"),
    ]


def test_a_long_name_is_shortened(client: FlaskClient) -> None:
    (issue,) = client.get("/job", query_string={"x" * 3000: "y" * 3000}).json["errors"]
    assert issue["field"] == "x" * 200 and issue["value"] == "y" * 200
    assert len(issue["message"]) < 400


def test_pages_and_images_ignore_parameters_that_others_add(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    image = client.get(f"/job/details/{request_id}").json["images"][0]["output_url"]
    for address in (
        f"{image}?v=2",
        "/?utm_source=mail",
        f"/jobs/{request_id}?utm_source=mail",
        "/docs?utm_source=mail",
    ):
        with client.get(address) as answer:
            assert answer.status_code == 200, address
