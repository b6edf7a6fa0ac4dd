"""The HTTP interface: thin views over the ledger, the catalogue and the storage."""

from __future__ import annotations

from functools import cache

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ..config import Settings
from ..storage import open_storage
from . import (
    archive,
    deletion,
    details,
    docs,
    download,
    health,
    image,
    job,
    metrics,
    retry,
    upload,
    webhooks,
)
from .auth import look_up_keys, require_keys
from .calls import watch_calls
from .document import describe
from .errors import register_error_handlers
from .headers import harden
from .hosts import refuse_unknown_hosts
from .limits import bound_bodies, limit_requests
from .readiness import Readiness

__all__ = ["refuse_unknown_hosts", "register_api", "watch_calls"]

ROOMS = tuple(room.blueprint for room in (
    upload, job, details, download, archive, retry, deletion, webhooks, image, health, metrics))


def register_api(app: Flask, settings: Settings) -> None:
    """Register the calls of the interface, its error handlers and its document."""
    app.url_map.strict_slashes = False
    # The fields of an answer come in the order that the schemas give them.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["storage"] = open_storage(settings)
    app.extensions[health.READINESS] = Readiness()
    bound_bodies(app, settings)
    if settings.require_api_key:
        look_up_keys(app)
    limit_requests(app, settings)
    require_keys(app, settings)
    for room in (*ROOMS, docs.blueprint):
        app.register_blueprint(room)
    app.extensions[docs.DOCUMENT] = cache(lambda: describe(settings, ROOMS))
    register_error_handlers(app)
    app.after_request(harden)
    if settings.trusted_proxies:
        _trust_proxies(app, settings.trusted_proxies)


def _trust_proxies(app: Flask, number: int) -> None:
    """Take the caller's address, and the scheme and the host it used, from so many proxies."""
    app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
        app.wsgi_app, x_for=number, x_proto=number, x_host=number)
