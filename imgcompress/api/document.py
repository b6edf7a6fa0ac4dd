"""The OpenAPI document: what holds for the interface as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask
from flask_smorest import Api, Blueprint

from ..config import Settings
from .auth import KEY_HEADER, OPERATOR, needs_operator
from .status_event import document_status_event

DESCRIPTION = """Upload a CSV of product image URLs, and get it back with the URLs of images
at least 50 % smaller.

1. `POST /upload` takes the CSV and answers with a `request_id`.
2. `GET /job/status/{request_id}` returns its progress; with `wait` it responds when something has
   changed. With a `webhook_url`, every change of status is sent to you.
3. `GET /job/download/{request_id}` returns your own CSV with the new URLs beside the old ones.

Errors are problem details (RFC 9457) with a stable `code`, a `detail` that says what to do, and
`retryable`. Times are in UTC. Ids are UUIDs."""

BEARER, HEADER, OPERATOR_KEY = "bearer", "apiKey", "operatorKey"
SCHEMES = {
    BEARER: {"type": "http", "scheme": "bearer",
             "description": "An API key created by the operator."},
    HEADER: {"type": "apiKey", "in": "header", "name": KEY_HEADER,
             "description": "The same key in its own header."},
    OPERATOR_KEY: {"type": "http", "scheme": "bearer",
                   "description": "The key set by METRICS_KEY."},
}
# What flask-smorest adds of its own: other errors and pages than ours.
UNUSED = ("Error", "PaginationMetadata")
# For doc() of the calls that everybody may make.
PUBLIC: dict[str, Any] = {"security": []}


def describe(settings: Settings, rooms: Iterable[Blueprint]) -> dict[str, Any]:
    """Return the document of the calls in these blueprints.

    It is made with an application of its own, so that only who asks for it pays for it: it takes
    longer than everything else that an application is made of.
    """
    api = Api(spec_kwargs=_options(settings))
    # Every view names the problems that it can answer with.
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    api.init_app(Flask(__name__))
    for room in rooms:
        api.register_blueprint(room)
    for name, scheme in SCHEMES.items():
        api.spec.components.security_scheme(name, scheme)
    document_status_event(api)
    document: dict[str, Any] = api.spec.to_dict()
    if needs_operator(settings):
        for call in _calls_of_operator(document):
            call["security"] = [{OPERATOR_KEY: []}]
    for name in UNUSED:
        del document["components"]["schemas"][name]
    return document


def _calls_of_operator(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the calls of the operator's rooms, each of which is a tag."""
    for methods in document["paths"].values():
        for method, call in methods.items():
            if method != "parameters" and OPERATOR.intersection(call["tags"]):
                yield call


def _options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "title": "imgcompress", "version": "1", "openapi_version": "3.1.0",
        "info": {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}}
    if settings.require_api_key:
        options["security"] = [{BEARER: []}, {HEADER: []}]
    return options


def links_to(*operations: str) -> dict[str, Any]:
    """Return links from an answer with a `request_id` to the calls that take it."""
    return {operation: {"operationId": operation,
                        "parameters": {"request_id": "$response.body#/request_id"}}
            for operation in operations}
