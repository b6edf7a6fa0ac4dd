"""The settings of callers: the names they call by, how often, and secrets they do not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET_CHARS = 32
# A host name, or a domain with all that is below it.
HOST_NAME = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
# Where keys are asked for, callers are strangers to each other, and none may crowd out the rest.
WITH_KEYS = {"uploads_per_minute": 60, "reads_per_minute": 600}


def rate_limits(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits per minute, 0 for none: as set, or else by whether keys are asked for."""
    return {name: _limit(values[name], default if values["require_api_key"] else 0)
            for name, default in WITH_KEYS.items()}


def _limit(value: int | None, default: int) -> int:
    return default if value is None else value


def parse_allowed_hosts(text: str) -> tuple[str, ...]:
    """Return the host names, in small letters. Raise ValueError.

    `.example.com` stands for example.com and all that is below it, `*` for every name.
    """
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for name in names:
        if name != "*" and not HOST_NAME.fullmatch(name):
            raise ValueError(f"{name!r} must be a host name such as images.example.com, or"
                             " .example.com for all names below it, without http:// and without a"
                             " port; IP addresses are always accepted")
    return names


def parse_secret(text: str, *, required: bool = False) -> str | None:
    """Read a secret that the operator makes; the fault does not repeat it."""
    if not text and not required:
        return None
    if len(text) < SECRET_CHARS:
        raise ValueError(f"must have at least {SECRET_CHARS} characters; create one with: openssl"
                         " rand -hex 32")
    return text
