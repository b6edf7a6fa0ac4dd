"""API keys: the caller, the jobs it can see, and the calls for the operator only.

Users of the pages give their key once. It is kept in a cookie, which holds the key itself and ends
with the browser's session. No script can read it (HttpOnly) and no other site can send it
(SameSite=Strict). It is not signed, because the key is its own proof; so the pages need no secret
that several machines would have to share.

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

from functools import partial
from secrets import compare_digest
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request
from flask_httpauth import HTTPTokenAuth, MultiAuth

from ..config import Settings
from ..extensions import current_settings
from ..ledger.api_keys import owner_of
from .errors import (
    PROBLEM_TYPE,
    ApiKeyRequired,
    CrossSiteRequest,
    InvalidApiKey,
    OperatorKeyRequired,
    answer_error,
)

# Blueprints that need no API key: images are shown in shop pages, under URLs that cannot be
# guessed. All others need a key.
PUBLIC = frozenset({"health", "image", "docs", "web"})
# Blueprints about the installation as a whole: a caller's key does not give access.
OPERATOR = frozenset({"metrics"})
# The key of the endpoints of calls at whose addresses people get a page, which needs no key.
PAGES = "pages"
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE = frozenset({"same-origin", "none"})
KEY_HEADER = "X-API-Key"
COOKIE = "imgcompress_key"
COOKIE_OF_HOST = f"__Host-{COOKIE}"
EMPTY_KEY = (
    "The API key header is empty, as happens when a variable in a script is empty. Put the"
    " key into it."
)

_bearer = HTTPTokenAuth("Bearer", realm="imgcompress")
_header = HTTPTokenAuth("Bearer", realm="imgcompress", header=KEY_HEADER)
_auth = MultiAuth(_bearer, _header)
_operator = HTTPTokenAuth("Bearer", realm="imgcompress operator")


def refuse_cross_site(app: Flask) -> None:
    """Refuse every call that changes something and comes from the page of another site."""
    app.before_request(_check_site)


def _check_site() -> None:
    """Raise CrossSiteRequest."""
    if request.method in HARMLESS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        ours = site in OWN_SITE
    else:
        # Browsers send no Fetch Metadata to plain HTTP addresses other than this machine's.
        origin = request.headers.get("Origin")
        public = urlsplit(current_settings().public_base_url or "").netloc
        ours = origin is None or urlsplit(origin).netloc in {request.host, public} - {""}
    if not ours:
        raise CrossSiteRequest


def look_up_keys(app: Flask, settings: Settings) -> None:
    """Check the key of each call that needs one, so that limits can count by owner.

    A browser sends it in a cookie instead of a header. While callers have no keys, everyone may see
    all jobs, and the metrics as well unless the operator has a key.
    """
    app.before_request(partial(_look_up, settings))


def _look_up(settings: Settings) -> None:
    g.key_error = None
    named = "Authorization" in request.headers or KEY_HEADER in request.headers
    if request.cookies and not named and (key := request.cookies.get(cookie_name())):
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    if request.blueprint in OPERATOR:
        g.key_error = _admit_operator() if needs_operator(settings) else None
    elif settings.require_api_key and not is_public():
        g.key_error = _admit()


def demand_keys(app: Flask) -> None:
    """Refuse the calls whose key is missing or wrong; limits have counted them."""
    app.before_request(lambda: g.key_error)


def cookie_name() -> str:
    """Return the name of the cookie with the key: over TLS, only the one for TLS is accepted."""
    return COOKIE_OF_HOST if is_encrypted() else COOKIE


def is_encrypted() -> bool:
    """Return whether browsers reach us over HTTPS, also where a proxy in front speaks it."""
    public = current_settings().public_base_url or ""
    return request.is_secure or public.startswith("https:")


def needs_operator(settings: Settings) -> bool:
    """Return whether the operator's blueprints need the operator's key."""
    return settings.require_api_key or settings.metrics_key is not None


def current_owner() -> str | None:
    """Return the name of the caller's key; None if no key is needed and all jobs are visible."""
    owner: str | None = _auth.current_user()
    return owner


def is_public() -> bool:
    """Return whether the call needs no key, or matches no route."""
    return (
        request.endpoint is None
        or request.blueprint in PUBLIC
        or (request.endpoint in current_app.extensions.get(PAGES, ()) and wants_page())
    )


def wants_page() -> bool:
    """Return whether the caller is a browser that opens a page."""
    kinds = ["application/json", PROBLEM_TYPE, "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"


@_operator.login_required  # type: ignore[untyped-decorator]
def _admit_operator() -> None:
    """Let the call go on to its view."""


@_operator.verify_token  # type: ignore[untyped-decorator]
def _is_operator(token: str) -> bool:
    key = current_settings().metrics_key
    return key is not None and compare_digest(token.encode(), key.encode())


@_operator.error_handler  # type: ignore[untyped-decorator]
def _refuse_others(_status: int) -> Response:
    return answer_error(OperatorKeyRequired())


@_auth.login_required  # type: ignore[untyped-decorator]
def _admit() -> None:
    """Let the call go on to its view."""


@_bearer.error_handler  # type: ignore[untyped-decorator]
@_header.error_handler  # type: ignore[untyped-decorator]
def _refuse(_status: int) -> Response:
    """Answer a call without a valid key; Flask-HTTPAuth adds WWW-Authenticate."""
    sent = [
        request.headers[name].strip()
        for name in (KEY_HEADER, "Authorization")
        if name in request.headers
    ]
    if any(text and text.lower() != "bearer" for text in sent):
        return answer_error(InvalidApiKey())
    return answer_error(ApiKeyRequired(EMPTY_KEY) if sent else ApiKeyRequired())


for _scheme in (_bearer, _header):
    _scheme.verify_token(owner_of)
