"""The HTTP API: thin views over the ledger, the catalogue and the storage."""

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
    reject_cross_site,
    reject_unknown_hosts,
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
    """Register the calls of the API, its error handlers and its document."""
    app.url_map.strict_slashes = False
    # The fields of an answer have the order of the schemas.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["storage"] = open_storage(settings)
    app.extensions[operations.READINESS] = Readiness()
    # The checks for each call, in this order.
    log_calls(app)
    reject_unknown_hosts(app, settings)
    app.before_request(reject_cross_site)
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
