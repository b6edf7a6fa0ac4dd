"""What a status other than 200 means for an image."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from ..errors import ImageError
from ..netguard import parse_retry_after

# Statuses that may pass: the caller tries again later. All others are final.
PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
MAX_RETRY_AFTER = 300.0


class SourceStatus(ImageError):
    """The source answered with a status that gives no image.

    `retry_after` is what the source asked for in seconds, 300 at most, where a retry can help.
    """

    def __init__(self, http_status: int, retry_after: str | None = None) -> None:
        self.http_status = http_status
        passing = http_status in PASSING
        seconds = parse_retry_after(retry_after, now=datetime.now(UTC), limit=MAX_RETRY_AFTER)
        super().__init__("source_status", _status_line(http_status), retryable=passing,
                         retry_after=seconds if passing else None)


def _status_line(http_status: int) -> str:
    """Name a status in our own words: the server's may hold anything."""
    try:
        return f"HTTP {http_status} {HTTPStatus(http_status).phrase}"
    except ValueError:
        return f"HTTP {http_status}"
