"""API keys: who is calling, and which jobs that caller can see."""

from __future__ import annotations

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue
from flask_httpauth import HTTPTokenAuth, MultiAuth

from ..ledger.keys import owner_of
from .errors import answer_error
from .refusals import ApiKeyRequired, InvalidApiKey

# The rooms that everybody may enter: images stand in shop pages, under addresses that nobody can
# guess. Whatever is added elsewhere needs a key.
PUBLIC = frozenset({"health", "image", "docs", "web"})
KEY_HEADER = "X-API-Key"
EMPTY_KEY = ("The header that should hold the API key is empty, as when a variable of a script is"
             " empty. Put the key into it.")

_bearer = HTTPTokenAuth("Bearer", realm="imgcompress")
_header = HTTPTokenAuth("Bearer", realm="imgcompress", header=KEY_HEADER)
_auth = MultiAuth(_bearer, _header)


def look_up_keys(app: Flask) -> None:
    """Find out whose key each call has, so that what follows can count by owner."""
    app.before_request(_look_up)


def require_keys(app: Flask) -> None:
    """Refuse every call without a valid key but the public ones."""
    app.before_request(_refusal)


def current_owner() -> str | None:
    """Return the name of the caller's key; None where no key is asked for, and all is seen."""
    owner: str | None = _auth.current_user()
    return owner


def is_public() -> bool:
    """Tell whether the call is open to everybody, or leads nowhere."""
    return request.endpoint is None or request.blueprint in PUBLIC


@_auth.login_required  # type: ignore[untyped-decorator]
def _admit() -> None:
    """Let the call go on to its view."""


def _look_up() -> None:
    g.key_refusal = None if is_public() else _admit()


def _refusal() -> ResponseReturnValue | None:
    refusal: Response | None = g.key_refusal
    return refusal


@_bearer.error_handler  # type: ignore[untyped-decorator]
@_header.error_handler  # type: ignore[untyped-decorator]
def _refuse(_status: int) -> Response:
    """Answer a call without a valid key; Flask-HTTPAuth adds WWW-Authenticate."""
    sent = [request.headers[name].strip() for name in (KEY_HEADER, "Authorization")
            if name in request.headers]
    if any(text and text.lower() != "bearer" for text in sent):
        return answer_error(InvalidApiKey())
    return answer_error(ApiKeyRequired(EMPTY_KEY) if sent else ApiKeyRequired())


for _scheme in (_bearer, _header):
    _scheme.verify_token(owner_of)
