"""One example of a problem for each status, for the document."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ..errors import ImgcompressError, LedgerUnavailable
from ..ledger.idempotency import KeyReused
from .errors import InvalidRequest, JobNotFound, JobRunning
from .refusals import (
    ApiKeyRequired,
    ImageLinkExpired,
    NotMultipart,
    TooManyRequests,
    UnknownHost,
)

ERRORS: Mapping[int, type[ImgcompressError]] = {
    400: InvalidRequest, 401: ApiKeyRequired, 403: ImageLinkExpired, 404: JobNotFound,
    409: JobRunning, 415: NotMultipart, 421: UnknownHost, 422: KeyReused, 429: TooManyRequests,
    500: ImgcompressError, 503: LedgerUnavailable,
}
FAULT = {"field": "page", "row": None, "column": None, "code": "invalid_page",
         "message": "page must be a whole number from 1 to 1,000,000,000.", "value": "first"}


def example_of(status: int) -> dict[str, Any] | None:
    """Return a problem with this status, or None when no error of ours has it."""
    error = ERRORS.get(status)
    if error is None:
        return None
    faults = {"errors": [FAULT], "error_count": 1} if status == 400 else {}
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status,
            "detail": error.message, "instance": "/job", "code": error.code,
            "retryable": error.retryable, **faults}
