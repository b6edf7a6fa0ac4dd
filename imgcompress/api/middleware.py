"""Middleware of every call: request log, security headers, conditional answers."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from flask import Flask, Response, g, request

from ..file_names import ascii_name
from ..logs import begin, bind
from ..metrics import HTTP
from .context import parse_id

log = logging.getLogger(__name__)

CALL_ID_HEADER = "X-Request-ID"
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Machines poll these so often that they would hide the other lines.
PROBES = frozenset({"health.healthz", "health.readyz", "metrics.metrics"})
NO_ROUTE = "none"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def log_calls(app: Flask) -> None:
    """Give each call an id, log its answer, and measure its time.

    It comes before everything else that checks calls, so that refused ones are logged too. The
    job of the call is bound to its log lines as `request_id`.
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
    log.log(
        _level(response),
        "Answered",
        extra={
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "seconds": round(seconds, 4),
            "client": request.remote_addr,
        },
    )
    return response


def _labels(response: Response) -> tuple[str, str, str]:
    """Return the method, the route and the status; callers cannot make up new ones."""
    method = request.method if request.method in METHODS else "other"
    route = request.url_rule.rule if request.url_rule else NO_ROUTE
    return method, route, str(response.status_code)


def _level(response: Response) -> int:
    """Return the log level: low for probes, files of pages, and unchanged polls."""
    if response.status_code >= 500:
        return logging.WARNING
    quiet = (
        request.endpoint in PROBES
        or response.status_code == 304
        or str(request.endpoint).endswith(".static")
        # Viewers of images ask for far more than callers do.
        or (request.blueprint == "image" and response.status_code < 400)
    )
    return logging.DEBUG if quiet else logging.INFO


NO_ACTIVE_CONTENT = "default-src 'none'; frame-ancestors 'none'"
# Content from others must not run as a page of ours, whatever type a browser detects.
USER_CONTENT = "default-src 'none'; sandbox"
# For a year a browser that came over TLS comes over TLS alone; other names of the domain are free.
STRICT_TRANSPORT = "max-age=31536000"
# Every program of a machine has this name, and not all of them have TLS.
LOCALHOST = re.compile(r"(?:.+\.)?localhost\.?(?::\d+)?", re.IGNORECASE)


def add_security_headers(response: Response) -> Response:
    """Add the headers that hold for every answer, where the view has not set its own."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", NO_ACTIVE_CONTENT)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # For browsers that do not know frame-ancestors.
    response.headers["X-Frame-Options"] = "DENY"
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cache-Control", "no-cache")
    if request.is_secure and not LOCALHOST.fullmatch(request.host):
        response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
    return response


def sandbox(response: Response) -> Response:
    """Mark an answer as content from others."""
    response.headers["Content-Security-Policy"] = USER_CONTENT
    return response


def attach(response: Response, filename: str) -> Response:
    """Have a browser save content from others under this name instead of showing it."""
    response.headers.set("Content-Disposition", "attachment", **_names(filename))
    return sandbox(response)


def _names(filename: str) -> dict[str, str]:
    """Return a file name as RFC 6266 wants it: plain ASCII, and all of it percent-encoded."""
    plain = ascii_name(filename)
    if plain == filename:
        return {"filename": filename}
    return {"filename": plain, "filename*": f"UTF-8''{quote(filename, safe='')}"}


def conditional(view: Callable[..., Response]) -> Callable[..., Response]:
    """Give the answer an ETag of its content, and answer 304 if the caller has that one."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Response:
        response = view(*args, **kwargs)
        # Weak, because a proxy may compress the answer on its way.
        response.add_etag(weak=True)
        response.make_conditional(request)
        return response

    return wrapper
