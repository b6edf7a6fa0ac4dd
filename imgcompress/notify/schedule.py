"""When a failed delivery is attempted again."""

from __future__ import annotations

import random
from collections.abc import Sequence

JITTER = 0.2
MAX_RETRY_AFTER = 24 * 3600.0


def longest_pause(pauses: Sequence[float]) -> float:
    """Return the longest pause that there can be between two attempts."""
    return max([MAX_RETRY_AFTER, *(pause * (1 + JITTER) for pause in pauses)])


def next_pause(attempt: int, retry_after: float | None, pauses: Sequence[float]) -> float | None:
    """Return in how many seconds to try again after this attempt (1..); None after the last one.

    `pauses` are the seconds after the first, second … attempt, and each gets a jitter of a fifth.
    `retry_after` is the number of seconds that the receiver asked for; it can lengthen the pause
    up to a day, and not shorten it.
    """
    if attempt > len(pauses):
        return None
    pause = pauses[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    asked = min(retry_after or 0.0, MAX_RETRY_AFTER)
    return max(pause, asked)
