"""Errors for callers: RFC 9457 problems with a stable code and advice."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, jsonify, request
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, RequestRedirect, Rule

from ..csvfile import Issue
from ..errors import ImgcompressError, LedgerUnavailable, StorageNotFound, StorageUnavailable
from ..ledger.feeds import FeedPaused, TooManyFeeds
from ..ledger.idempotency import KeyInUse, KeyReused
from ..ledger.jobs import TooManyJobs
from ..ledger.unreadable import JobUnreadable
from ..links import parse_id
from ..worker.preview import PreviewFailed, TooManyPreviews

# The maximum number of issues in an answer.
ISSUES_SHOWN = 100
VALUE_CHARS = 200
CODES = {"file": "missing_file"}
# The values of these fields are not repeated.
SECRETS = {"webhook_secret"}


@dataclass(frozen=True)
class RequestIssue:
    """One issue: the field of the request, and where in the file if the field is the file."""

    field: str
    row: int | None
    column: str | None
    code: str
    message: str
    value: str | None


class IssueSchema(Schema):
    """One issue of a request."""

    field = fields.String(
        required=True,
        metadata={
            "description": "The field of the request; `file` for every issue in the CSV.",
            "example": "file",
        },
    )
    row = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "The row number in the CSV, counted as in a spreadsheet; null if the issue"
            " is not in a row.",
            "example": 4,
        },
    )
    column = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The header of the column; null if the issue is not in a column.",
            "example": "Input Image Urls",
        },
    )
    code = fields.String(
        required=True,
        metadata={"description": "A stable code for the issue.", "example": "relative_url"},
    )
    message = fields.String(
        required=True,
        metadata={
            "description": "What is wrong and how to fix it, for people.",
            "example": "This is a path, not a full image URL. Send base_url with the upload, such as"
            " base_url=https://shop.example.com/media/, or enter full URLs.",
        },
    )
    value = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The invalid value, shortened to 200 characters.",
            "example": None,
        },
    )


class ProblemSchema(Schema):
    """An error in the form of RFC 9457, with a stable code."""

    type = fields.String(required=True, metadata={"example": "about:blank"})
    title = fields.String(required=True, metadata={"example": "Not Found"})
    status = fields.Integer(required=True, metadata={"example": 404})
    detail = fields.String(
        required=True,
        metadata={
            "description": "What happened and what to do, for people.",
            "example": "There is no job with this id. Check the id; the job may also have been"
            " deleted.",
        },
    )
    instance = fields.String(
        required=True,
        metadata={
            "description": "The path of the request.",
            "example": "/job/status/7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11",
        },
    )
    code = fields.String(
        required=True,
        metadata={"description": "A stable code for the error.", "example": "job_not_found"},
    )
    retryable = fields.Boolean(
        required=True,
        metadata={"description": "Whether the same request can succeed later.", "example": False},
    )
    errors = fields.List(
        fields.Nested(IssueSchema), metadata={"description": "With 400: the first 100 issues."}
    )
    error_count = fields.Integer(
        metadata={"description": "With 400: the total number of issues.", "example": 1}
    )


def issues_of_file(issues: Sequence[Issue]) -> list[RequestIssue]:
    """Return the issues of an uploaded catalogue as issues of the field `file`."""
    return [
        RequestIssue("file", issue.row, issue.column, issue.code, issue.message, issue.value)
        for issue in issues
    ]


def issues_of_fields(
    messages: Mapping[str, Sequence[str]], schema: Schema, values: Mapping[str, Any]
) -> list[RequestIssue]:
    """Return the issues that `schema` found in a flat set of values, one for each field."""
    return [
        _issue_of_field(field, texts, schema, values.get(field))
        for field, texts in messages.items()
    ]


def issues_of_unknown_parameters(
    names: Iterable[str], known: Iterable[str], values: Mapping[str, str]
) -> list[RequestIssue]:
    """Return one issue for each unknown query parameter of a call."""
    listed = ", ".join(known)
    advice = f"The parameters are {listed}." if listed else "This call takes no parameters."
    return [
        RequestIssue(
            name[:VALUE_CHARS],
            None,
            None,
            "unknown_parameter",
            f"There is no parameter called “{name[:VALUE_CHARS]}”. {advice}",
            values[name][:VALUE_CHARS],
        )
        for name in names
    ]


def _issue_of_field(
    field: str, messages: Sequence[str], schema: Schema, value: Any
) -> RequestIssue:
    names = [each.data_key or name for name, each in schema.fields.items()]
    known = field in names
    code = CODES.get(field, f"invalid_{field}") if known else "unknown_field"
    message = (
        messages[0]
        if known
        else f"There is no field called “{field[:VALUE_CHARS]}”. {_advice_on_field(field, names)}"
    )
    shown = value[:VALUE_CHARS] if isinstance(value, str) and field not in SECRETS else None
    return RequestIssue(field[:VALUE_CHARS], None, None, code, message, shown)


# A word that is part of more field names than this is no match for any of them.
FIELDS_PROPOSED = 4
SHORTEST_PART = 3
LEAST_ALIKE = 0.7


def _advice_on_field(field: str, names: Sequence[str]) -> str:
    """Return advice on an unknown field: similar names, or where to find all of them."""
    written = field[:VALUE_CHARS].lower().replace("-", "_")
    near = [written] if written in names else [name for name in names if written in name]
    if len(written) < SHORTEST_PART or not 0 < len(near) <= FIELDS_PROPOSED:
        near = get_close_matches(written, names, n=1, cutoff=LEAST_ALIKE)
    if near:
        return f"Did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?"
    return "/docs lists the fields of each call."


class MalformedHost(ImgcompressError):
    """The call has no Host header, several, or an invalid one."""

    code = "malformed_host"
    message = (
        "The Host header is not a host name or an IP address, with or without a port. Most"
        " clients set it themselves from the URL."
    )


class UnknownHost(ImgcompressError):
    """The call was sent to a host that is not a name of this installation."""

    code = "unknown_host"
    message = (
        "This service is not configured for the host name of the request, so nothing was"
        " done. If the name is right, the operator can add it to ALLOWED_HOSTS or set"
        " PUBLIC_BASE_URL; the IP address of the service always works."
    )

    def __init__(self, name: str) -> None:
        super().__init__(self.message.replace("the host name of the request", f"the name “{name}”"))


class ApiKeyRequired(ImgcompressError):
    """The call has no API key."""

    code = "api_key_required"
    message = (
        "This request needs an API key. Send it as “Authorization: Bearer …” or as"
        " “X-API-Key: …”; the operator creates keys."
    )


class InvalidApiKey(ImgcompressError):
    """The key of the call is unknown or was revoked."""

    code = "invalid_api_key"
    message = "This API key is invalid or was revoked. Check it, or ask the operator for a new one."


class OperatorKeyRequired(ImgcompressError):
    """The call concerns the whole installation, and does not come from its operator."""

    code = "operator_key_required"
    message = (
        "Only the operator of this installation has access. Send the key set by METRICS_KEY"
        " as “Authorization: Bearer …”; API keys give no access, and without METRICS_KEY"
        " there is none."
    )


class CrossSiteRequest(ImgcompressError):
    """A page of another site made the user's browser send the call."""

    code = "cross_site"
    message = (
        "This request came from a page of another site, so nothing was done. Use the pages of"
        " this service; programs must leave out the Origin header."
    )


class NotMultipart(ImgcompressError):
    """The body of an upload is not a multipart form."""

    code = "unsupported_media_type"
    message = (
        "An upload must be multipart/form-data, with the CSV in the field “file”. With curl:"
        " -F file=@products.csv"
    )


class TooManyRequests(ImgcompressError):
    """The caller has exceeded its rate limit."""

    code = "too_many_requests"
    message = "Too many requests; try again in 60 seconds."
    retryable = True

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        seconds = ceil(retry_after)
        unit = "second" if seconds == 1 else "seconds"
        super().__init__(f"Too many requests; try again in {seconds} {unit}.")


class NotAllConfirmed(ImgcompressError):
    """The call would delete all jobs and does not confirm it."""

    code = "all_not_confirmed"
    message = (
        "Nothing was deleted. To delete one job, put its id into the path: DELETE"
        " /job/<request_id>. To delete all jobs, send DELETE /job?all=true."
    )


class NothingToRetry(ImgcompressError):
    """The job has no failed image, or none of the requested ones."""

    code = "nothing_to_retry"
    message = (
        "No image of this job failed, or none with this code, host and cause; the job's status"
        " lists its failures."
    )


class RetryCannotHelp(ImgcompressError):
    """The images to retry need another URL in the catalogue."""

    code = "retry_cannot_help"

    def __init__(self, advice: str) -> None:
        super().__init__(
            f"A retry cannot help these images. {advice} Correct the URLs in the catalogue, and"
            " upload it again."
        )


class NoImages(ImgcompressError):
    """None of the job's images is compressed."""

    code = "no_images"
    message = (
        "None of the job's images was compressed, so there is nothing to download; see the"
        " job's status for the reasons."
    )


class TooManyFetches(ImgcompressError):
    """The maximum number of tables is already being fetched."""

    code = "too_many_fetches"
    message = (
        "Too many tables are being fetched at the moment. Send the upload again in a few"
        " seconds, or send the file itself."
    )
    retryable = True


class InvalidImageLink(ImgcompressError):
    """The signature of an image's URL is missing or wrong."""

    code = "invalid_image_link"
    message = (
        "The image URL is not signed, or was changed. Get it again from the details of the"
        " job, and use it unchanged."
    )


class ImageLinkExpired(ImgcompressError):
    """The signed URL of an image has expired."""

    code = "image_link_expired"
    message = "The image URL has expired. Get a new one from the details of the job."


# A placeholder for a missing id; no real id looks like this.
STAND_IN = "~"
MISSING = re.compile(r"(?<=/)(?=[/.]|$)")
# Methods that are suggested to a caller that used a wrong one. DELETE is never suggested.
PROPOSED = ("GET", "POST")


def diagnose(error: NotFound | MethodNotAllowed) -> tuple[int, str, str]:
    """Return the status, the code and the public detail for a request that matches no call."""
    adapter = current_app.create_url_adapter(request)
    # If the address is complete, only the method is wrong. A word such as `status` in place of a
    # job's id belongs to another call, whose id is missing.
    is_whole = (
        isinstance(error, MethodNotAllowed)
        and not MISSING.search(request.path)
        and not _deletes_what_is_no_job(error)
    )
    without_id = adapter and not is_whole and _call_without_id(adapter)
    if without_id:
        return (
            404,
            "missing_id",
            (
                "The URL has no id, as happens when a variable in a script is empty, so nothing was"
                f" done. Add the id: {request.method} {without_id.rule}"
            ),
        )
    if isinstance(error, MethodNotAllowed) and not _deletes_what_is_no_job(error):
        proposed = ", ".join(method for method in PROPOSED if method in (error.valid_methods or ()))
        advice = f"Use {proposed}." if proposed else "/docs lists all calls."
        return 405, "method_not_allowed", f"{request.method} is not allowed here. {advice}"
    bare = request.path.rstrip("/")
    exact = adapter and bare != request.path and _rule_at(adapter, bare)
    # The last part before the slash may belong to another call, whose id is missing.
    if exact and (not exact.arguments or parse_id(bare.rpartition("/")[2])):
        return (
            404,
            "trailing_slash",
            (
                "The path must not end in a slash, so nothing was done. Leave the slash out:"
                f" {request.method} {exact.rule}"
            ),
        )
    return 404, "not_found", "There is nothing at this address. Check the path and the id in it."


def _call_without_id(adapter: MapAdapter) -> Rule | None:
    """Return the call that the request would have matched with one more id."""
    for path in _with_one_more(request.path):
        rule = _rule_at(adapter, path)
        if rule:
            return rule
    return None


def _with_one_more(path: str) -> Iterator[str]:
    filled, empty = MISSING.subn(STAND_IN, re.sub("/+$", "/", path))
    if not empty:
        filled = f"{path}/{STAND_IN}"
    yield filled
    yield f"{filled}.{STAND_IN}"


def _rule_at(adapter: MapAdapter, path: str) -> Rule | None:
    """Return the call at this path; None if there is no call, or only files of the pages."""
    try:
        rule, _ = adapter.match(path, request.method, return_rule=True)
    except (HTTPException, RequestRedirect):
        return None
    return None if rule.endpoint.endswith(".static") else rule


def _deletes_what_is_no_job(error: MethodNotAllowed) -> bool:
    """Return whether the path only allows DELETE, and its id is not the id of a job."""
    is_id = parse_id(request.path.rpartition("/")[2]) is not None
    return not is_id and not {*(error.valid_methods or ())} - {"DELETE", "OPTIONS"}


log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
MEBIBYTE = 2**20


class InvalidRequest(ImgcompressError):
    """Values of a request are invalid; `issues` lists them."""

    code = "invalid_request"
    message = "The request has invalid values; see errors."

    def __init__(self, issues: Sequence[RequestIssue], count: int | None = None) -> None:
        self.issues = issues[:ISSUES_SHOWN]
        self.count = len(issues) if count is None else count
        super().__init__()


class InvalidUpload(InvalidRequest):
    """The uploaded file or its options are wrong; nothing was stored."""

    code = "invalid_upload"
    message = "Nothing was stored. Fix the issues listed in errors, and upload the file again."


class JobNotFound(ImgcompressError):
    """There is no job with this id."""

    code = "job_not_found"
    message = "There is no job with this id. Check the id; the job may also have been deleted."


class ImageNotFound(ImgcompressError):
    """There is no compressed image with this id and extension."""

    code = "image_not_found"
    message = (
        "There is no image at this address. Check the address; its job may also have been deleted."
    )


class DeliveryNotFound(ImgcompressError):
    """The job has no delivery with this id, or none at all."""

    code = "delivery_not_found"
    message = (
        "The job has no such delivery. GET /job/webhooks/<request_id> lists its deliveries;"
        " a job without webhook_url has no webhooks."
    )


class FeedNotFound(ImgcompressError):
    """There is no feed with this id."""

    code = "feed_not_found"
    message = "There is no feed with this id. List your feeds with GET /feeds."


class JobRunning(ImgcompressError):
    """The job has not ended yet."""

    code = "job_running"
    message = (
        "The job is still running. Try again when it has ended, or add ?partial=true to get"
        " the results so far."
    )
    retryable = True


class JobEnded(ImgcompressError):
    """The job has ended and cannot be cancelled."""

    code = "job_ended"
    message = "The job has already ended, so there is nothing to cancel."


# A subclass has the status of its nearest base here; without one it is an internal error, a 500.
STATUSES: Mapping[type, int] = {
    InvalidRequest: 400,
    JobNotFound: 404,
    ImageNotFound: 404,
    DeliveryNotFound: 404,
    FeedNotFound: 404,
    StorageNotFound: 404,
    JobRunning: 409,
    JobEnded: 409,
    NotAllConfirmed: 400,
    MalformedHost: 400,
    ApiKeyRequired: 401,
    InvalidApiKey: 401,
    OperatorKeyRequired: 401,
    CrossSiteRequest: 403,
    InvalidImageLink: 403,
    ImageLinkExpired: 403,
    NothingToRetry: 409,
    RetryCannotHelp: 409,
    NoImages: 409,
    KeyInUse: 409,
    FeedPaused: 409,
    TooManyFeeds: 409,
    NotMultipart: 415,
    UnknownHost: 421,
    KeyReused: 422,
    PreviewFailed: 422,
    TooManyRequests: 429,
    TooManyJobs: 429,
    TooManyFetches: 429,
    TooManyPreviews: 429,
    LedgerUnavailable: 503,
    StorageUnavailable: 503,
}


def register_error_handlers(app: Flask) -> None:
    """Answer every error of `app` as a problem."""
    app.register_error_handler(ImgcompressError, answer_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Exception, _answer_unforeseen_error)


def answer_error(error: ImgcompressError) -> Response:
    """Return the answer to a call that raised this error."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    # The ledger logs a damaged row, once.
    if status >= 500 and not isinstance(error, JobUnreadable):
        log.error(
            "%s %r: %s",
            request.method,
            request.path,
            error,
            exc_info=error if status == 500 else None,
        )
    extra: dict[str, Any] = {}
    if isinstance(error, InvalidRequest):
        extra = {"errors": error.issues, "error_count": error.count}
    response = _problem(status, error.code, error.message, retryable=error.retryable, **extra)
    if error.retryable:
        seconds = getattr(error, "retry_after", None) or RETRY_AFTER_SECONDS
        response.headers["Retry-After"] = str(ceil(seconds))
    return response


def answer_http_error(error: HTTPException) -> Response:
    """Answer an error of the framework; its headers, such as Allow, are kept."""
    status, code, detail = _described(error)
    response = _problem(status, code, detail)
    for name, value in error.get_headers(request.environ):
        if name != "Content-Type" and (name != "Allow" or status == 405):
            response.headers[name] = value
    return response


def _described(error: HTTPException) -> tuple[int, str, str]:
    if isinstance(error, (NotFound, MethodNotAllowed)):
        return diagnose(error)
    status = error.code or 500
    if status == 413:
        return status, "too_large", _size_limits()
    return status, *{
        400: ("bad_request", "The request is malformed. Check its syntax."),
        416: ("range_not_satisfiable", "The requested byte range is outside the image."),
    }.get(status, (f"http_{status}", f"{error.name}."))


def _size_limits() -> str:
    most = request.max_content_length or 0
    if most == current_app.config["MAX_CONTENT_LENGTH"]:
        return (
            f"The body of this request may have at most {most:,} bytes. Send less, or leave it out."
        )
    size = f"{round(most / MEBIBYTE, 1):g} MiB" if most >= MEBIBYTE else f"{most:,} bytes"
    return (
        f"The upload is larger than {size}, or one of its text fields is far too long. Split"
        " the file, and send it as a file (with curl: -F file=@products.csv)."
    )


def _answer_unforeseen_error(error: Exception) -> Response:
    log.error("%s %r failed", request.method, request.path, exc_info=error)
    return _problem(500, ImgcompressError.code, ImgcompressError.message)


def _problem(
    status: int, code: str, detail: str, *, retryable: bool = False, **extra: Any
) -> Response:
    """Return a problem; its type is about:blank, since `code` identifies it."""
    body = ProblemSchema().dump(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "instance": quote(request.path),
            "code": code,
            "retryable": retryable,
            **extra,
        }
    )
    response = jsonify(body)
    response.status_code = status
    response.content_type = PROBLEM_TYPE
    return response
