"""The Retry-After header."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_retry_after(value: str | None, *, now: datetime, limit: float) -> float | None:
    """Return how many seconds a server asks to wait, `limit` at most; None if it does not say.

    Both forms of RFC 9110, section 10.2.3: a number of seconds, or a date. `now` is aware.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # More digits than these are over every limit, and cost time to read.
        return min(float(text[:9]), limit)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), limit)
