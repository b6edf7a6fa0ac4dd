"""The API key of a user of the pages: asked for once, then kept in a cookie.

The cookie holds the key itself and ends with the browser's session. No script can read it
(HttpOnly) and no other site can send it (SameSite=Strict). It is not signed, because the key is its
own proof; so the pages need no secret that several machines would have to share.

Over TLS its name begins with `__Host-`. Browsers take such a cookie from an encrypted page of this
very host alone, so that no other host of the same domain, and nobody on an unencrypted line, can
replace the key (draft-ietf-httpbis-rfc6265bis, "The "__Host-" Prefix").
"""

from __future__ import annotations

from flask import Flask, Response, request

from ..api.errors import InvalidApiKey, answer_error
from ..extensions import current_settings
from ..ledger.api_keys import owner_of
from .blueprint import blueprint

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
