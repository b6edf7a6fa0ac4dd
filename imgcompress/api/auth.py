"""API keys: who is calling, and which jobs that caller can see."""

from __future__ import annotations

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from flask_httpauth import HTTPTokenAuth, MultiAuth

from ..ledger.keys import owner_of
from .errors import answer_error
from .refusals import ApiKeyRequired, InvalidApiKey

# The rooms that everybody may enter: images stand in shop pages, under addresses that nobody can
# guess. Whatever is added elsewhere needs a key.
PUBLIC = frozenset({"health", "image", "docs", "web"})
KEY_HEADER = "X-API-Key"

_bearer = HTTPTokenAuth("Bearer", realm="imgcompress")
_header = HTTPTokenAuth("Bearer", realm="imgcompress", header=KEY_HEADER)
_auth = MultiAuth(_bearer, _header)


def require_keys(app: Flask) -> None:
    """Ask for a key in every call but the public ones."""
    app.before_request(_demand_key)


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


def _demand_key() -> ResponseReturnValue | None:
    if is_public():
        return None
    refusal: Response | None = _admit()
    return refusal


@_bearer.error_handler  # type: ignore[untyped-decorator]
@_header.error_handler  # type: ignore[untyped-decorator]
def _refuse(_status: int) -> Response:
    """Answer a call without a valid key; Flask-HTTPAuth adds WWW-Authenticate."""
    given = KEY_HEADER in request.headers or "Authorization" in request.headers
    return answer_error(InvalidApiKey() if given else ApiKeyRequired())


for _scheme in (_bearer, _header):
    _scheme.verify_token(owner_of)
