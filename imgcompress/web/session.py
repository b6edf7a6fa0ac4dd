"""The API key of a user of the pages: asked for once, then kept in a cookie.

The cookie holds the key itself and ends with the browser's session. No script can read it
(HttpOnly) and no other site can send it (SameSite=Strict). It is not signed, because the key is its
own proof; so the pages need no secret that several machines would have to share.

Over TLS its name begins with `__Host-`. Browsers take such a cookie from an encrypted page of this
very host alone, so that no other host of the same domain, and nobody on an unencrypted line, can
replace the key (draft-ietf-httpbis-rfc6265bis, "The "__Host-" Prefix").

Pages of other sites must not change anything through a user's browser (CSRF). Browsers send the
origin of a request: Sec-Fetch-Site by Fetch Metadata (W3C), and Origin (RFC 6454) with every
request that can change something. Neither can be set by a page's script. Programs like curl send
neither, and have no cookies that could be misused, so they are accepted. This is the primary
defence; that the cookie is SameSite=Strict is the second one.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, request

from ..api.errors import PROBLEM_TYPE, InvalidApiKey, answer_error
from ..api.schemas import ProblemSchema
from ..extensions import current_settings
from ..ledger.api_keys import owner_of

blueprint = Blueprint(
    "web", __name__, template_folder="templates", static_folder="static", static_url_path="/web"
)

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


PLAIN = "imgcompress_key"
BOUND_TO_HOST = f"__Host-{PLAIN}"


def forward_keys(app: Flask) -> None:
    """Let the key in the cookie stand for the header that a browser does not send."""
    app.before_request(_forward)


@blueprint.post("/session", strict_slashes=False)
def begin() -> Response:
    """Keep the key that the form gives, if it is valid."""
    key = request.form.get("key", "").strip()
    # A body without a length is only cut where it is too long; reading on then raises the error.
    request.stream.read(1)
    if owner_of(key) is None:
        return answer_error(InvalidApiKey())
    answer = Response(status=204)
    answer.set_cookie(cookie_name(), key, httponly=True, samesite="Strict", secure=_is_encrypted())
    return answer


@blueprint.delete("/session", strict_slashes=False)
def end() -> Response:
    """Forget the key."""
    answer = Response(status=204)
    answer.delete_cookie(cookie_name(), httponly=True, samesite="Strict", secure=_is_encrypted())
    return answer


def cookie_name() -> str:
    """Return the name of the cookie: over TLS, only the one for TLS is accepted."""
    return BOUND_TO_HOST if _is_encrypted() else PLAIN


def _forward() -> None:
    key = request.cookies.get(cookie_name())
    named = "Authorization" in request.headers or "X-API-Key" in request.headers
    if key and not named:
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"


def _is_encrypted() -> bool:
    """Return whether browsers reach us over HTTPS, also where a proxy in front speaks it."""
    public = current_settings().public_base_url or ""
    return request.is_secure or public.startswith("https:")
