"""Wait for a ledger that is away, rather than throw away the work of a slice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import LedgerUnavailable
from .processes import stopping

log = logging.getLogger(__name__)
Value = TypeVar("Value")

# A restart of the database takes less; after longer the work is done again by whoever gets to it.
HOLD_SECONDS = 60.0
PAUSE_SECONDS = 1.0


def patiently(act: Callable[[], Value], seconds: float = HOLD_SECONDS) -> Value:
    """Act on the ledger, again and again while it is away, for `seconds` or until a shutdown.

    Raise LedgerUnavailable when that did not help. What is acted may be committed although the
    answer was lost, so it must do no harm when it is done twice.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except LedgerUnavailable as error:
            if stopping() or time.monotonic() > end:
                raise
            log.warning("Waiting for the database: %s", error)
            time.sleep(PAUSE_SECONDS)
