"""How well this process reaches its database: one that hardly does may be cut off from all else."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LedgerUnavailable

# A transaction takes milliseconds; one that takes as long has met a way that is down or very slow.
SLOW_SECONDS = 5.0

_met_trouble_at = -math.inf


@contextmanager
def watched() -> Iterator[None]:
    """Note when the database cannot be reached, or takes very long."""
    began = time.monotonic()
    try:
        yield
    except LedgerUnavailable:
        _note_trouble()
        raise
    finally:
        if time.monotonic() - began > SLOW_SECONDS:
            _note_trouble()


def _note_trouble() -> None:
    global _met_trouble_at
    _met_trouble_at = time.monotonic()


def met_trouble(within: float) -> bool:
    """Tell whether this process met trouble on its way to the database in so many last seconds."""
    return time.monotonic() - _met_trouble_at < within
