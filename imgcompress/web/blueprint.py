"""The blueprint of the pages and of their session, which need no key."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint(
    "web", __name__, template_folder="templates", static_folder="static", static_url_path="/web"
)
