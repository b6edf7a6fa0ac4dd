"""Ids as callers write them."""

from __future__ import annotations

from uuid import UUID

CHARS = 36


def parse_id(text: str) -> UUID | None:
    """Return the UUID that `text` writes with its four hyphens, or None for any other text."""
    try:
        return UUID(text) if len(text) == CHARS and text.count("-") == 4 else None
    except ValueError:
        return None
