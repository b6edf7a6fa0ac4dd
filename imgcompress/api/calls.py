"""What is told of every HTTP call: an id of its own, one line in the log, and its time."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from flask import Flask, Response, g, request

from ..logs import begin, bind
from ..metrics import HTTP
from .ids import parse_id

log = logging.getLogger(__name__)

CALL_ID_HEADER = "X-Request-ID"
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked for again and again by machines, they would hide the other lines.
PROBES = frozenset({"health.healthz", "health.readyz", "metrics.metrics"})
NO_ROUTE = "none"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def watch_calls(app: Flask) -> None:
    """Give each call an id, log its answer, and measure its time.

    It comes before all else that looks at calls, so that a refusal is told as well. The job that
    the call names is bound to the lines of the call as `request_id`.
    """
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.call_began = time.monotonic()
    g.call_id = _call_id(request.headers.get(CALL_ID_HEADER, ""))
    begin(call_id=g.call_id)
    job = parse_id((request.view_args or {}).get("request_id", ""))
    if job:
        bind(request_id=job)


def _call_id(sent: str) -> str:
    """Return the id that a proxy or the caller gave the call, if it is one, or else a new one."""
    return sent if CALL_ID.fullmatch(sent) else uuid4().hex


def _end(response: Response) -> Response:
    """Log the answer, without the query, which may hold a signature."""
    seconds = time.monotonic() - g.call_began
    HTTP.observe(seconds, *_labels(response))
    response.headers[CALL_ID_HEADER] = g.call_id
    log.log(_level(response), "Answered", extra={
        "method": request.method, "path": request.path, "status": response.status_code,
        "seconds": round(seconds, 4), "client": request.remote_addr})
    return response


def _labels(response: Response) -> tuple[str, str, str]:
    """Return the method, the route and the status; callers cannot make up new ones."""
    method = request.method if request.method in METHODS else "other"
    route = request.url_rule.rule if request.url_rule else NO_ROUTE
    return method, route, str(response.status_code)


def _level(response: Response) -> int:
    """Return how much the line matters: probes, files of pages, and polls without news, little."""
    if response.status_code >= 500:
        return logging.WARNING
    quiet = (request.endpoint in PROBES or response.status_code == 304
             or str(request.endpoint).endswith(".static"))
    return logging.DEBUG if quiet else logging.INFO
