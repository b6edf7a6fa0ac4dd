"""The OpenAPI document, its page, and queries that it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from imgcompress.config import Settings

from tests.support.work import process


@pytest.fixture
def document(client: FlaskClient) -> Any:
    """Return the OpenAPI document."""
    return client.get("/openapi.json").json


def test_the_document_is_valid(document: Any) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_response_with_a_body_declares_its_type(document: Any) -> None:
    without_body = {"204", "302", "304"}
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            for status, answer in call["responses"].items() if method != "parameters" else ():
                assert answer["description"], (path, status)
                schemas = [media["schema"] for media in answer.get("content", {}).values()]
                assert all(schemas), (path, status)
                assert bool(schemas) == (status not in without_body), (path, status)


def test_the_document_names_every_call(app: Flask, document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    documented = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert documented == {
        ("POST", "/upload"),
        ("POST", "/preview"),
        ("GET", "/stats"),
        ("GET", "/job"),
        ("DELETE", "/job"),
        ("DELETE", "/job/{request_id}"),
        ("GET", "/job/archive/{request_id}"),
        ("POST", "/job/retry/{request_id}"),
        ("GET", "/job/status/{request_id}"),
        ("GET", "/job/details/{request_id}"),
        ("GET", "/job/download/{request_id}"),
        ("POST", "/job/cancel/{request_id}"),
        ("GET", "/image/{image_id}.{extension}"),
        ("GET", "/image/{image_id}/{name}.{extension}"),
        ("GET", "/job/webhooks/{request_id}"),
        ("POST", "/job/webhooks/{request_id}/redeliver"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/stats"),
        ("GET", "/metrics"),
        ("GET", "/feeds"),
        ("POST", "/feeds"),
        ("GET", "/feeds/{feed_id}"),
        ("DELETE", "/feeds/{feed_id}"),
        ("POST", "/feeds/{feed_id}/pause"),
        ("POST", "/feeds/{feed_id}/resume"),
        ("POST", "/feeds/{feed_id}/run"),
    }


def test_every_call_has_its_own_id_and_a_summary(document: Any) -> None:
    calls = [
        call
        for methods in document["paths"].values()
        for method, call in methods.items()
        if method != "parameters"
    ]
    assert len({call["operationId"] for call in calls}) == len(calls)
    assert all(call["summary"] for call in calls)


def test_every_error_is_documented_as_a_problem(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            for status, response in call["responses"].items() if method != "parameters" else ():
                if status >= "400" and path != "/readyz":
                    assert list(response["content"]) == ["application/problem+json"], path


def test_the_upload_is_a_form_with_a_file(document: Any) -> None:
    form = document["paths"]["/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]
    name = form["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    assert "required" not in schema
    assert schema["properties"]["file"]["format"] == "binary"
    assert set(schema["properties"]) == {
        "file",
        "csv_url",
        "webhook_url",
        "webhook_secret",
        "email",
        "compression_percentage",
        "quality",
        "format",
        "max_width",
        "max_height",
        "effort",
        "formats",
        "min_score",
        "metadata",
        "output_columns",
        "user_agent",
        "referer",
        "accept_language",
        "since",
        "trust",
        "fresh",
        "dry_run",
        "url_columns",
        "name_column",
        "id_column",
        "base_url",
        "encoding",
        "on_row_error",
        "output",
        "row_options",
        "sheet",
    }


def test_every_schema_is_used(document: Any) -> None:
    text = json.dumps(document)
    assert [
        name
        for name in document["components"]["schemas"]
        if f'"#/components/schemas/{name}"' not in text
    ] == []


def test_optional_fields_of_the_upload_have_no_default(document: Any) -> None:
    """Generators take a field with a default for one that is always there, and ask for it."""
    upload = document["components"]["schemas"]["Upload"]["properties"]
    assert [name for name, field in upload.items() if "default" in field] == []


def test_every_private_call_documents_401_and_429(document: Any) -> None:
    for methods in document["paths"].values():
        for call in (call for method, call in methods.items() if method != "parameters"):
            answers = call["responses"].keys()
            assert call.get("security") == [] or {"401", "429", "500"} <= answers
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey", "operatorKey"}
    assert "security" not in document


class TestWithKeys:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, require_api_key=True)

    def test_the_document_asks_for_them(self, document: Any) -> None:
        assert document["security"] == [{"bearer": []}, {"apiKey": []}]
        other = {
            path: call["security"]
            for path, methods in document["paths"].items()
            for method, call in methods.items()
            if method != "parameters" and call.get("security")
        }
        assert other == {"/metrics": [{"operatorKey": []}]}


def test_an_upload_leads_to_every_call_that_takes_its_id(document: Any) -> None:
    links = document["paths"]["/upload"]["post"]["responses"]["202"]["links"]
    calls = {
        call["operationId"]
        for path, methods in document["paths"].items()
        if "{request_id}" in path
        for method, call in methods.items()
        if method != "parameters"
    }
    assert {link["operationId"] for link in links.values()} == calls


def test_every_field_that_a_caller_sends_is_described(document: Any) -> None:
    for methods in document["paths"].values():
        for call in (call for method, call in methods.items() if method != "parameters"):
            for parameter in call.get("parameters", ()):
                assert parameter.get("description"), f"{call['operationId']}: {parameter['name']}"
    upload = document["components"]["schemas"]["Upload"]["properties"]
    assert all(field.get("description") for field in upload.values())


def test_every_problem_has_an_example_with_its_status(document: Any) -> None:
    for methods in document["paths"].values():
        for call in (call for method, call in methods.items() if method != "parameters"):
            for status, answer in call["responses"].items():
                problem = answer.get("content", {}).get("application/problem+json", {})
                if "example" in problem:
                    assert problem["example"]["status"] == int(status)
                    assert problem["example"]["detail"] and problem["example"]["code"]


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


def test_the_page_and_all_it_loads_come_from_this_service(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and page.content_type == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href|data-document)="([^"]*)"', page.text)
    assert {"/", "/jobs", "/feeds"} < set(loaded) and len(loaded) == 13
    for path in loaded:
        assert path.startswith("/") and not path.startswith("//")
        answer = client.get(path, headers={"Accept": "text/html"}, buffered=True)
        assert answer.status_code == 200, path


def test_a_browser_loads_nothing_else_and_runs_nothing_from_the_page(client: FlaskClient) -> None:
    page = client.get("/docs/")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert re.search(r"<script>|<style| on\w+=| style=", page.text) is None


def test_no_other_file_is_served(client: FlaskClient) -> None:
    for path in (
        "../docs.py",
        "..%2fdocs.py",
        "%2e%2e/docs.py",
        "swagger-ui/../../docs.py",
        "swagger-ui",
        "",
    ):
        assert client.get(f"/docs/static/{path}").status_code == 404, path
