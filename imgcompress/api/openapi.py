"""The OpenAPI document, and the page that shows it.

GET /openapi.json: the same for machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce, wraps
from http import HTTPStatus
from typing import Any, NoReturn

import flask
import flask_smorest
from flask import Flask, Request, Response, current_app, make_response, render_template, request
from flask_smorest import Api
from marshmallow import RAISE, Schema, ValidationError, fields, validate
from webargs.flaskparser import FlaskParser

from .. import __version__
from ..config import Settings
from ..errors import ImgcompressError, LedgerUnavailable
from ..ledger.idempotency import KeyReused
from ..ledger.models import ImageStatus, JobStatus
from .errors import (
    PROBLEM_TYPE,
    ApiKeyRequired,
    ImageLinkExpired,
    InvalidRequest,
    JobNotFound,
    JobRunning,
    NotMultipart,
    ProblemSchema,
    TooManyRequests,
    UnknownHost,
    issues_of_fields,
    issues_of_unknown_parameters,
)
from .middleware import KEY_HEADER, OPERATOR, PUBLIC, needs_operator

ERRORS: Mapping[int, type[ImgcompressError]] = {
    400: InvalidRequest,
    401: ApiKeyRequired,
    403: ImageLinkExpired,
    404: JobNotFound,
    409: JobRunning,
    415: NotMultipart,
    421: UnknownHost,
    422: KeyReused,
    429: TooManyRequests,
    500: ImgcompressError,
    503: LedgerUnavailable,
}
ISSUE_EXAMPLE = {
    "field": "page",
    "row": None,
    "column": None,
    "code": "invalid_page",
    "message": "page must be a whole number from 1 to 1,000,000,000.",
    "value": "first",
}


def example_of(status: int) -> dict[str, Any] | None:
    """Return a problem with this status, or None if no error has it."""
    error = ERRORS.get(status)
    if error is None:
        return None
    issues = {"errors": [ISSUE_EXAMPLE], "error_count": 1} if status == 400 else {}
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "instance": "/job",
        "code": error.code,
        "retryable": error.retryable,
        **issues,
    }


View = Callable[..., Any]
Decorator = Callable[[View], View]

JOB_ID = {
    "in": "path",
    "name": "request_id",
    "schema": {"type": "string", "format": "uuid"},
    "description": "The job's id, as returned by the upload.",
}


class _Parser(FlaskParser):
    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **_: Any
    ) -> NoReturn:
        """Raise InvalidRequest with every issue of the query, or of the form."""
        ((location, messages),) = error.messages_dict.items()
        if location == "form":
            raise InvalidRequest(issues_of_fields(messages, schema, req.form))
        names = [field.data_key or name for name, field in schema.fields.items()]
        unknown = [name for name in req.args if name in messages and name not in names]
        known = {name: found for name, found in messages.items() if name in names}
        raise InvalidRequest(
            [
                *issues_of_unknown_parameters(unknown, names, req.args),
                *issues_of_fields(known, schema, req.args),
            ]
        )


def without_query(view: View) -> View:
    """Reject every query parameter of a call that has none."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if request.args:
            raise InvalidRequest(issues_of_unknown_parameters(request.args, (), request.args))
        return view(*args, **kwargs)

    return wrapper


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose views answer errors as problems."""

    ARGUMENTS_PARSER = _Parser()

    # flask-smorest has no types: these declare its decorators for mypy.
    doc: Callable[..., Decorator]
    arguments: Callable[..., Decorator]
    response: Callable[..., Decorator]
    alt_response: Callable[..., Decorator]

    def route(self, rule: str, *, any_query: bool = False, **options: Any) -> Decorator:
        """Register a view that accepts only the query parameters of its schema.

        With `any_query` the view checks the query itself.
        """
        register: Decorator = super().route(rule, **options)

        def decorate(view: View) -> View:
            arguments = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", ())
            has_query = any(each["in"] == "query" for each in arguments)
            return register(view if any_query or has_query else without_query(view))

        return decorate

    def problems(self, *statuses: int) -> Decorator:
        """Document that a view may answer with a problem of these statuses, or of the common ones.

        A public call needs no key, and is not counted.
        """
        common = {400, 421, 500} | (set() if self.name in PUBLIC else {401, 429})

        def document(view: View) -> View:
            return reduce(self._document_problem, sorted({*statuses, *common}), view)

        return document

    def _document_problem(self, view: View, status: int) -> View:
        describe = self.alt_response(
            status,
            schema=ProblemSchema,
            content_type=PROBLEM_TYPE,
            description=HTTPStatus(status).phrase,
            example=example_of(status),
        )
        return describe(view)


JOB = "7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11"
EXAMPLE = {
    "request_id": JOB,
    "status": "COMPLETED",
    "message": "The job is done; see the counts for failed images.",
    "completion_percentage": 100,
    "total_images": 2,
    "completed_images": 1,
    "failed_images": 1,
    "input_bytes": 401408,
    "output_bytes": 196704,
    "images": [
        {
            "input_url": "https://shop.example.com/front.jpg",
            "output_url": "https://images.example.com/image/0c9d2f5e-3a41-4a53-8f57-9d6c2b1e7a10/front.jpg",
            "status": "COMPLETED",
        },
        {"input_url": "https://shop.example.com/2.jpg", "output_url": None, "status": "FAILED"},
    ],
    "images_truncated": False,
    "details_url": f"https://images.example.com/job/details/{JOB}",
    "download_url": f"https://images.example.com/job/download/{JOB}",
}
HEADERS = {
    "webhook-id": "The event's id, the same in every attempt; ignore an event whose id you have"
    " already processed.",
    "webhook-timestamp": "The time of this attempt, in seconds since 1970.",
    "webhook-signature": "One or two signatures as defined by Standard Webhooks, `v1,…`.",
}


class EventImageSchema(Schema):
    """One finished image."""

    input_url = fields.String(required=True)
    output_url = fields.String(required=True, allow_none=True)
    status = fields.String(
        required=True, validate=validate.OneOf([ImageStatus.COMPLETED, ImageStatus.FAILED])
    )


class StatusEventSchema(Schema):
    """The payload of a webhook: the job at the time its status changed."""

    request_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(JobStatus)))
    message = fields.String(required=True)
    completion_percentage = fields.Integer(required=True)
    total_images = fields.Integer(required=True)
    completed_images = fields.Integer(required=True)
    failed_images = fields.Integer(required=True)
    input_bytes = fields.Integer(required=True)
    output_bytes = fields.Integer(required=True)
    since_request_id = fields.UUID(
        allow_none=True,
        metadata={
            "description": "The earlier job. It and the next five fields are sent only for an"
            " upload with `since`."
        },
    )
    unchanged_images = fields.Integer()
    changed_images = fields.Integer()
    new_images = fields.Integer()
    removed_images = fields.Integer()
    bytes_not_downloaded = fields.Integer()
    images = fields.List(
        fields.Nested(EventImageSchema),
        required=True,
        metadata={
            "description": "The finished images, in the order of the CSV: at most 1,000, and fewer if"
            " the payload would exceed 256 KiB."
        },
    )
    images_truncated = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether there are more finished images than are listed; details_url has all"
            " of them."
        },
    )
    details_url = fields.String(required=True, metadata={"format": "uri"})
    download_url = fields.String(required=True, metadata={"format": "uri"})


def document_status_event(api: Api) -> None:
    """Add the webhook to the document of `api`."""
    name = "StatusEvent"
    api.spec.components.schema(name, schema=StatusEventSchema)
    content = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": EXAMPLE}
    api.spec.options["webhooks"] = {
        "jobStatus": {
            "post": {
                "operationId": "receiveStatus",
                "summary": "A job's status has changed",
                "description": "Sent to the webhook_url of the upload. Answer with 2xx within 15 s;"
                " otherwise it is sent again, over about three days. 410 stops that.",
                "parameters": [_header(*header) for header in HEADERS.items()],
                "requestBody": {"required": True, "content": {"application/json": content}},
                "responses": {
                    "2XX": {"description": "The event was accepted."},
                    "410": {"description": "The event is no longer wanted."},
                },
            }
        }
    }


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "in": "header",
        "name": name,
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


DESCRIPTION = """Upload a CSV of product image URLs, and get it back with the URLs of images
at least 50 % smaller.

1. `POST /upload` accepts the CSV and returns a `request_id`.
2. `GET /job/status/{request_id}` returns its progress; with `wait` it responds when something has
   changed. With a `webhook_url`, every change of status is sent to you.
3. `GET /job/download/{request_id}` returns your own CSV with the new URLs beside the old ones.

Errors are problem details (RFC 9457) with a stable `code`, a `detail` that says what to do, and
`retryable`. Times are in UTC. Ids are UUIDs."""

BEARER, HEADER, OPERATOR_KEY = "bearer", "apiKey", "operatorKey"
SCHEMES = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key created by the operator.",
    },
    HEADER: {
        "type": "apiKey",
        "in": "header",
        "name": KEY_HEADER,
        "description": "The same key in its own header.",
    },
    OPERATOR_KEY: {
        "type": "http",
        "scheme": "bearer",
        "description": "The key set by METRICS_KEY.",
    },
}
# Additions by flask-smorest that do not match the service's errors and pages.
UNUSED = ("Error", "PaginationMetadata")
# For doc() of the calls that need no key.
PUBLIC_CALL: dict[str, Any] = {"security": []}


def build_openapi(
    settings: Settings, blueprints: Iterable[flask_smorest.Blueprint]
) -> dict[str, Any]:
    """Return the document of the calls in these blueprints.

    It is built on demand with a separate application, because building it takes longer than
    everything else at the start of an application.
    """
    api = Api(spec_kwargs=_options(settings))
    # Every view declares the problems that it can answer with.
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    api.init_app(Flask(__name__))
    for blueprint in blueprints:
        api.register_blueprint(blueprint)
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
    """Yield the calls of the operator's blueprints, each of which is a tag."""
    for methods in document["paths"].values():
        for method, call in methods.items():
            if method != "parameters" and OPERATOR.intersection(call["tags"]):
                yield call


def _options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "title": "imgcompress",
        "version": __version__,
        "openapi_version": "3.1.0",
        "info": {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
    }
    if settings.require_api_key:
        options["security"] = [{BEARER: []}, {HEADER: []}]
    return options


def links_to(*operations: str) -> dict[str, Any]:
    """Return links from an answer with a `request_id` to the calls that take it."""
    return {
        operation: {
            "operationId": operation,
            "parameters": {"request_id": "$response.body#/request_id"},
        }
        for operation in operations
    }


# The key of the application's document builder.
DOCUMENT = "document"

blueprint = flask.Blueprint(
    "docs",
    __name__,
    static_folder="static",
    static_url_path="/docs/static",
    template_folder="templates",
)

# Icons in the style sheet are data URLs, and fetched images are shown as blobs. Nothing is loaded
# from elsewhere, and inline scripts do not run.
ONLY_FROM_HERE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.route("/openapi.json")
@without_query
def document() -> Response:
    """Return the OpenAPI document."""
    text = current_app.json.dumps(current_app.extensions[DOCUMENT](), indent=2)
    return current_app.response_class(text, mimetype="application/json")


@blueprint.route("/docs")
def docs() -> Response:
    """Show Swagger UI."""
    response = make_response(render_template("docs.html"))
    response.headers["Content-Security-Policy"] = ONLY_FROM_HERE
    return response
