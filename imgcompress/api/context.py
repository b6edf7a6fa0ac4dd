"""Access of the views to the application and the request."""

from __future__ import annotations

from uuid import UUID

from flask import current_app, request

from ..extensions import current_settings
from ..storage import Storage
from ..worker import intake

CHARS = 36


def parse_id(text: str) -> UUID | None:
    """Return the UUID that `text` writes with its four hyphens, or None for any other text."""
    try:
        return UUID(text) if len(text) == CHARS and text.count("-") == 4 else None
    except ValueError:
        return None


def current_storage() -> Storage:
    """Return the storage of the running application."""
    storage: Storage = current_app.extensions["storage"]
    return storage


def base_url() -> str:
    """Return the address of this service as callers see it, without a trailing slash."""
    return current_settings().public_base_url or request.root_url.rstrip("/")


def refusal_of(url: str) -> str | None:
    """Return the public reason why a URL may not be dialled, or None when it may."""
    return intake.refusal_of(current_settings(), url)
