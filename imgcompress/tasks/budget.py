"""How long a worker stays with a slice before it hands back what is left of it."""

from __future__ import annotations

import time
from uuid import UUID

from ..errors import LedgerUnavailable
from ..ledger.fairness import crowds_out

# After this long a slice begins with no more images: no message is held for hours, and no job waits
# for long behind a slice.
SLICE_SECONDS = 60.0
# A worker that has had nothing to do for this long waits for an origin that hangs; it may have
# something better to do.
IDLE_SECONDS = 2.0


def slice_seconds(fetch_timeout: float) -> float:
    """Return the time of a slice, in which the slowest download must come to its end."""
    return max(SLICE_SECONDS, 2 * fetch_timeout)


class Budget:
    """The time of one slice of a job, in seconds."""

    def __init__(self, request_id: UUID, seconds: float) -> None:
        self.request_id = request_id
        self._end = time.monotonic() + seconds
        self.progressed()

    def progressed(self) -> None:
        """Note that an image of the slice was finished."""
        self._asks_at = time.monotonic() + IDLE_SECONDS

    def exhausted(self) -> bool:
        """Tell whether to stop: when time is up, or when we idle over it while other jobs wait."""
        now = time.monotonic()
        if now > self._end:
            return True
        if now < self._asks_at:
            return False
        self._asks_at = now + 1
        return self._crowds_out()

    def _crowds_out(self) -> bool:
        try:
            return crowds_out(self.request_id)
        except LedgerUnavailable:
            return False
