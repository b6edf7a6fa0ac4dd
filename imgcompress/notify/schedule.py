"""When a failed delivery is attempted again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

JITTER = 0.2
MAX_RETRY_AFTER = 24 * 3600.0


def next_attempt(now: datetime, attempt: int, retry_after: float | None,
                 pauses: Sequence[float]) -> datetime | None:
    """Return when to try again after the attempt with this number (1..); None after the last one.

    `pauses` are the seconds after the first, second … attempt, and each gets a jitter of a fifth.
    `retry_after` is the number of seconds that the receiver asked for; it can lengthen the pause
    up to a day, and not shorten it.
    """
    if attempt > len(pauses):
        return None
    pause = pauses[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    asked = min(retry_after or 0.0, MAX_RETRY_AFTER)
    return now + timedelta(seconds=max(pause, asked))
