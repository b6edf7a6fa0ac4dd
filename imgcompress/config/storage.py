"""The settings of the storage: where files live, and how images come to those who look at them."""

from __future__ import annotations

import re
from importlib.util import find_spec
from urllib.parse import SplitResult, urlsplit

STREAM, REDIRECT = "stream", "redirect"
# Amazon S3 User Guide, "General purpose bucket naming rules"; other makers allow no others.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def parse_storage_url(text: str) -> str | None:
    """Return the URL, or None for an empty one. Raise ValueError, which does not show it."""
    if not text:
        return None
    parts = urlsplit(text)
    if not (_names_folder(parts) or _names_bucket(parts)):
        raise ValueError("must look like file:///absolute/path or s3://bucket/prefix")
    if parts.scheme == "s3" and find_spec("boto3") is None:
        raise ValueError("S3 needs boto3: pip install -r requirements-s3.txt")
    return text


def _names_folder(parts: SplitResult) -> bool:
    return parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")


def _names_bucket(parts: SplitResult) -> bool:
    folders = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    return (parts.scheme == "s3" and BUCKET.fullmatch(parts.netloc) is not None
            and not parts.query and not parts.fragment
            and not any(folder in ("", ".", "..") for folder in folders))


def parse_image_delivery(text: str, *, storage_url: str | None) -> str:
    """Return how images are delivered. Raise ValueError where the storage cannot do it."""
    text = text or STREAM
    if text not in (STREAM, REDIRECT):
        raise ValueError(f"must be {STREAM} or {REDIRECT}")
    if text == REDIRECT and not (storage_url or "").startswith("s3:"):
        raise ValueError(f"{REDIRECT} needs a STORAGE_URL such as s3://bucket/prefix")
    return text
