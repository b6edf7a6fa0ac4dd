"""The HTTP interface: thin views over the ledger, the catalogue and the storage."""

from __future__ import annotations

from functools import cache

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from ..config import Settings
from ..storage import open_storage
from . import (
    deliveries,
    downloads,
    feeds,
    images,
    jobs,
    openapi,
    operations,
    preview,
    stats,
    upload,
)
from .errors import register_error_handlers
from .middleware import (
    add_security_headers,
    bound_bodies,
    demand_key,
    limit_requests,
    log_calls,
    look_up_key,
    refuse_cross_site,
    refuse_unknown_hosts,
)
from .openapi import build_openapi
from .operations import Readiness

__all__ = ["register_api"]

BLUEPRINTS = (
    upload.blueprint,
    preview.blueprint,
    jobs.jobs_blueprint,
    jobs.details_blueprint,
    downloads.download_blueprint,
    downloads.archive_blueprint,
    jobs.retry_blueprint,
    jobs.deletion_blueprint,
    deliveries.blueprint,
    images.blueprint,
    feeds.blueprint,
    stats.blueprint,
    operations.health_blueprint,
    operations.metrics_blueprint,
)


def register_api(app: Flask, settings: Settings) -> None:
    """Register the calls of the interface, its error handlers and its document."""
    app.url_map.strict_slashes = False
    # The fields of an answer come in the order that the schemas give them.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["storage"] = open_storage(settings)
    app.extensions[operations.READINESS] = Readiness()
    # What each call passes, in this order.
    log_calls(app)
    refuse_unknown_hosts(app, settings)
    app.before_request(refuse_cross_site)
    bound_bodies(app, settings)
    app.before_request(look_up_key)
    limit_requests(app, settings)
    app.before_request(demand_key)
    for blueprint in (*BLUEPRINTS, openapi.blueprint):
        app.register_blueprint(blueprint)
    app.extensions[openapi.DOCUMENT] = cache(lambda: build_openapi(settings, BLUEPRINTS))
    register_error_handlers(app)
    app.after_request(add_security_headers)
    proxies = settings.trusted_proxies
    if proxies:
        # The caller's address, and the scheme and the host it used, as the proxies saw them.
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies
        )
