"""The web pages: static files and empty pages, which call the HTTP interface from the browser."""

from __future__ import annotations

from flask import Flask

from . import pages, session  # noqa: F401 (pages registers its views)

__all__ = ["register_web"]


def register_web(app: Flask) -> None:
    """Register the pages, and the protection of calls from browsers.

    It comes before the HTTP interface is registered, so that a key in the session is in its
    place before the interface asks for it.
    """
    session.refuse_cross_site(app)
    session.forward_keys(app)
    app.register_blueprint(session.blueprint)
