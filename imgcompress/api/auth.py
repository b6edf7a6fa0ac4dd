"""API keys: the caller, the jobs it can see, and the calls for the operator only."""

from __future__ import annotations

from secrets import compare_digest

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue
from flask_httpauth import HTTPTokenAuth, MultiAuth

from ..config import Settings
from ..extensions import current_settings
from ..ledger.api_keys import owner_of
from .errors import ApiKeyRequired, InvalidApiKey, OperatorKeyRequired, answer_error

# Blueprints that need no API key: images are shown in shop pages, under URLs that cannot be
# guessed. All others need a key.
PUBLIC = frozenset({"health", "image", "docs", "web"})
# Blueprints about the installation as a whole: a caller's key does not give access.
OPERATOR = frozenset({"metrics"})
KEY_HEADER = "X-API-Key"
EMPTY_KEY = (
    "The API key header is empty, as happens when a variable in a script is empty. Put the"
    " key into it."
)

_bearer = HTTPTokenAuth("Bearer", realm="imgcompress")
_header = HTTPTokenAuth("Bearer", realm="imgcompress", header=KEY_HEADER)
_auth = MultiAuth(_bearer, _header)
_operator = HTTPTokenAuth("Bearer", realm="imgcompress operator")


def look_up_keys(app: Flask) -> None:
    """Identify the owner of each call's key, so that limits can count by owner."""
    app.before_request(_look_up)


def require_keys(app: Flask, settings: Settings) -> None:
    """Ask for the operator's key where it is needed and, if callers have keys, for a caller's.

    While there are no keys, everyone may see all jobs, and so the metrics as well.
    """
    if needs_operator(settings):
        app.before_request(_demand_operator_key)
    if settings.require_api_key:
        app.before_request(_refusal)


def needs_operator(settings: Settings) -> bool:
    """Return whether the operator's blueprints need the operator's key."""
    return settings.require_api_key or settings.metrics_key is not None


def current_owner() -> str | None:
    """Return the name of the caller's key; None if no key is needed and all jobs are visible."""
    owner: str | None = _auth.current_user()
    return owner


def is_public() -> bool:
    """Return whether the call needs no key, or matches no route."""
    return request.endpoint is None or request.blueprint in PUBLIC


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


def _demand_operator_key() -> ResponseReturnValue | None:
    if request.blueprint not in OPERATOR:
        return None
    refusal: Response | None = _admit_operator()
    return refusal


@_auth.login_required  # type: ignore[untyped-decorator]
def _admit() -> None:
    """Let the call go on to its view."""


def _look_up() -> None:
    free = is_public() or request.blueprint in OPERATOR
    g.key_refusal = None if free else _admit()


def _refusal() -> ResponseReturnValue | None:
    refusal: Response | None = g.key_refusal
    return refusal


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
