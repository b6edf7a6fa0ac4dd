"""Errors as callers see them: problem details by RFC 9457, with a stable code."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from ..errors import ImgcompressError, LedgerUnavailable, StorageNotFound, StorageUnavailable
from .addresses import diagnose
from .faults import FAULTS_TOLD, RequestFault
from .refusals import REFUSALS
from .schemas.problem import ProblemSchema

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
MEBIBYTE = 2**20


class InvalidRequest(ImgcompressError):
    """The values of a request are wrong; `faults` tells each of them."""

    code = "invalid_request"
    message = "The request has invalid values; see errors."

    def __init__(self, faults: Sequence[RequestFault], count: int | None = None) -> None:
        self.faults = faults[:FAULTS_TOLD]
        self.count = len(faults) if count is None else count
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
    message = ("There is no image at this address. Check the address; its job may also have been"
               " deleted.")


class DeliveryNotFound(ImgcompressError):
    """The job has no delivery with this id, or none at all."""

    code = "delivery_not_found"
    message = ("The job has no such delivery. GET /job/webhooks/<request_id> lists its deliveries;"
               " a job without webhook_url has no webhooks.")


class JobRunning(ImgcompressError):
    """The job has to end first."""

    code = "job_running"
    message = ("The job is still running. Try again when it has ended, or add ?partial=true to get"
               " the results so far.")
    retryable = True


class JobEnded(ImgcompressError):
    """The job has come to its end and cannot be cancelled."""

    code = "job_ended"
    message = "The job has already ended, so there is nothing to cancel."


# A subclass has the status of its nearest base here; what has none is a fault of ours, a 500.
STATUSES: Mapping[type, int] = {
    InvalidRequest: 400,
    JobNotFound: 404,
    ImageNotFound: 404,
    DeliveryNotFound: 404,
    StorageNotFound: 404,
    JobRunning: 409,
    JobEnded: 409,
    **REFUSALS,
    LedgerUnavailable: 503,
    StorageUnavailable: 503,
}


def register_error_handlers(app: Flask) -> None:
    """Answer every error of `app` as a problem."""
    app.register_error_handler(ImgcompressError, answer_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unforeseen_error)


def answer_error(error: ImgcompressError) -> Response:
    """Return the answer to a call that met this error."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    if status >= 500:
        log.error("%s %r: %s", request.method, request.path, error,
                  exc_info=error if status == 500 else None)
    extra: dict[str, Any] = {}
    if isinstance(error, InvalidRequest):
        extra = {"errors": error.faults, "error_count": error.count}
    response = _problem(status, error.code, error.message, retryable=error.retryable, **extra)
    if error.retryable:
        seconds = getattr(error, "retry_after", None) or RETRY_AFTER_SECONDS
        response.headers["Retry-After"] = str(ceil(seconds))
    return response


def _answer_http_error(error: HTTPException) -> Response:
    """Answer an error of the framework; its headers, such as Allow, are kept."""
    status, code, detail = _told(error)
    response = _problem(status, code, detail)
    for name, value in error.get_headers(request.environ):
        if name != "Content-Type" and (name != "Allow" or status == 405):
            response.headers[name] = value
    return response


def _told(error: HTTPException) -> tuple[int, str, str]:
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
        return (f"The body of this request may have at most {most:,} bytes. Send less, or leave it"
                " out.")
    size = f"{round(most / MEBIBYTE, 1):g} MiB" if most >= MEBIBYTE else f"{most:,} bytes"
    return (f"The upload is larger than {size}, or one of its text fields is far too long. Split"
            " the file, and send it as a file (with curl: -F file=@products.csv).")


def _answer_unforeseen_error(error: Exception) -> Response:
    log.error("%s %r failed", request.method, request.path, exc_info=error)
    return _problem(500, ImgcompressError.code, ImgcompressError.message)


def _problem(status: int, code: str, detail: str, *, retryable: bool = False,
             **extra: Any) -> Response:
    """Return a problem; its type is about:blank, for `code` says what kind it is."""
    body = ProblemSchema().dump({
        "type": "about:blank", "title": HTTPStatus(status).phrase, "status": status,
        "detail": detail, "instance": quote(request.path), "code": code, "retryable": retryable,
        **extra})
    response = jsonify(body)
    response.status_code = status
    response.content_type = PROBLEM_TYPE
    return response
