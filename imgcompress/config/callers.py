"""The settings of callers: how often they may call, and the signatures of image URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SECRET_CHARS = 32
# Where keys are asked for, callers are strangers to each other, and none may crowd out the rest.
WITH_KEYS = {"uploads_per_minute": 60, "reads_per_minute": 600}


def rate_limits(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits per minute, 0 for none: as set, or else by whether keys are asked for."""
    return {name: _limit(values[name], default if values["require_api_key"] else 0)
            for name, default in WITH_KEYS.items()}


def _limit(value: int | None, default: int) -> int:
    return default if value is None else value


def parse_image_url_secret(text: str, *, required: bool) -> str | None:
    """Read the secret that signs image URLs; the fault does not repeat it."""
    if not text and not required:
        return None
    if len(text) < SECRET_CHARS:
        raise ValueError(f"must have {SECRET_CHARS} characters or more; make one with:"
                         " openssl rand -hex 32")
    return text
