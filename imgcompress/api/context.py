"""Access of the views to the application and the request."""

from __future__ import annotations

from uuid import UUID

from flask import current_app, request

from ..errors import IMAGE_ERRORS, NetworkError
from ..extensions import current_settings
from ..net import DialPolicy, check_url
from ..storage import Storage

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
    settings = current_settings()
    policy = DialPolicy(settings.allowed_private_networks, settings.allowed_ports)
    try:
        check_url(url, policy)
    except NetworkError as error:
        return IMAGE_ERRORS[error.code].advice
    return None
