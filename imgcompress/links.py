"""The URLs returned to callers, of a job's calls and of its compressed images, and the ids in them.

The ledger stores the URLs of images unsigned; if the settings say so, they are signed each time
they are returned.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit
from uuid import UUID

from .extensions import current_settings
from .file_names import name_in_url

UUID_CHARS = 36


def parse_id(text: str) -> UUID | None:
    """Return the UUID in `text`, written with four hyphens, or None for any other text."""
    try:
        return UUID(text) if len(text) == UUID_CHARS and text.count("-") == 4 else None
    except ValueError:
        return None


def job_url(base_url: str, call: str, request_id: UUID) -> str:
    """Return the address of a call about a job, such as `status`."""
    return f"{base_url}/job/{call}/{request_id}"


def image_url(
    base_url: str,
    image_id: UUID,
    *,
    input_url: str,
    output_name: str | None,
    position: int,
    extension: str,
) -> str:
    """Return the unsigned URL of an image of a job whose links begin with `base_url`.

    It ends in the name from the image's row, or else from its source. That is only for people and
    shops: the image is found by its id. The second and further images of a row get a number after
    the name of the row.
    """
    stem = name_in_url(output_name or urlsplit(input_url).path)
    if output_name and position:
        stem = f"{stem}-{position + 1}"
    return f"{current_settings().image_base_url or base_url}/image/{image_id}/{stem}.{extension}"


def signed_url(image_url: str | None) -> str | None:
    """Return the URL of an image for a caller, signed if required; None stays None."""
    settings = current_settings()
    if image_url is None or not settings.signed_image_urls:
        return image_url
    expires = int(time.time()) + settings.image_url_seconds
    return f"{image_url}?expires={expires}&signature={_signature(_signed(image_url), expires)}"


def _signed(image_url: str) -> str:
    """Return the signed part of a URL: its id and its extension, the same in both forms of the URL.

    Versions before 0.2 returned `/image/<image_id>.<extension>`.
    """
    _, parent, name = image_url.rsplit("/", 2)
    return name if parent == "image" else f"{parent}.{name.rpartition('.')[2]}"


def is_signed(name: str, expires: int, signature: str) -> bool:
    """Return whether this service signed the URL of `<image_id>.<extension>` with this expiry."""
    return hmac.compare_digest(_signature(name, expires).encode(), signature.encode())


def _signature(name: str, expires: int) -> str:
    secret = current_settings().image_url_secret or ""
    digest = hmac.digest(secret.encode(), f"{name}?expires={expires}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
