"""Let others write to SQLite, too, while one process writes for long."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep
from typing import TypeVar

Item = TypeVar("Item")

# Who finds SQLite's lock held asks for it again every 0.1 s; a shorter pause may be missed time and
# again (2 s measured). One a second costs a job of a million images a tenth of its time.
TURN_SECONDS = 1.0
PAUSE_SECONDS = 0.1


def with_pauses(parts: Iterator[Item]) -> Iterator[Item]:
    """Yield parts, each for a transaction, and now and then wait until others have had theirs."""
    pause_at = monotonic() + TURN_SECONDS
    for part in parts:
        if monotonic() > pause_at:
            sleep(PAUSE_SECONDS)
            pause_at = monotonic() + TURN_SECONDS
        yield part
