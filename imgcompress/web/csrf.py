"""Protection against CSRF: pages of other sites must not change anything through a user's browser.

Browsers send the origin of a request: Sec-Fetch-Site by Fetch Metadata (W3C), and Origin (RFC
6454) with every request that can change something. Neither can be set by a page's script. Programs
like curl send neither, and have no cookies that could be misused, so they are accepted. This is the
primary defence; that the cookie of the session is SameSite=Strict is the second one.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request

from ..api.errors import PROBLEM_TYPE
from ..api.schemas import ProblemSchema
from ..extensions import current_settings

HARMLESS = {"GET", "HEAD", "OPTIONS"}
OURS = {"same-origin", "none"}
REFUSAL = {
    "type": "about:blank",
    "title": "Forbidden",
    "status": 403,
    "code": "cross_site",
    "retryable": False,
    "detail": "This request came from a page of another site, so nothing was done. Use the pages of"
    " this service; programs must leave out the Origin header.",
}


def refuse_cross_site(app: Flask) -> None:
    """Refuse every call that changes something and comes from the page of another site."""
    app.before_request(_refuse)


def _refuse() -> Response | None:
    if request.method in HARMLESS or _is_ours():
        return None
    problem = ProblemSchema().dumps(REFUSAL | {"instance": request.path})
    return Response(problem, status=403, content_type=PROBLEM_TYPE)


def _is_ours() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in OURS
    # Browsers send no Fetch Metadata to plain HTTP addresses other than this machine's.
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc in _our_hosts()


def _our_hosts() -> set[str]:
    public = current_settings().public_base_url or ""
    return {request.host, urlsplit(public).netloc} - {""}
