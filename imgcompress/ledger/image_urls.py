"""The addresses of compressed images as they are told: signed and expiring, if the settings say so.

The ledger keeps them plain; they are signed each time that somebody is told them.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode
from uuid import UUID

from ..extensions import current_settings


def image_url(base_url: str, image_id: UUID, name: str) -> str:
    """Return the plain address of an image of a job whose links begin with `base_url`.

    `name` is that of a file, and for people and shops alone: the image is found by its id.
    """
    return f"{current_settings().image_base_url or base_url}/image/{image_id}/{name}"


def told_url(image_url: str | None) -> str | None:
    """Return the address of an image as it is told now; None stays None."""
    settings = current_settings()
    if image_url is None or not settings.signed_image_urls:
        return image_url
    expires = int(time.time()) + settings.image_url_seconds
    return f"{image_url}?expires={expires}&signature={_signature(_signed(image_url), expires)}"


def _signed(image_url: str) -> str:
    """Return what of an address is signed: its id and its extension, in both of its forms.

    Versions before 0.2 told `/image/<image_id>.<extension>`.
    """
    _, parent, name = image_url.rsplit("/", 2)
    return name if parent == "image" else f"{parent}.{name.rpartition('.')[2]}"


def is_signed(name: str, expires: int, signature: str) -> bool:
    """Tell whether we signed the address of the image `<image_id>.<extension>` with this expiry."""
    return hmac.compare_digest(_signature(name, expires).encode(), signature.encode())


def _signature(name: str, expires: int) -> str:
    secret = current_settings().image_url_secret or ""
    digest = hmac.digest(secret.encode(), f"{name}?expires={expires}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
