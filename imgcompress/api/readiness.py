"""What /readyz finds: looked up once for all who ask within a few seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any

from ..ledger.clock import clock_difference
from ..ledger.gauges import oldest_slice_seconds
from ..ledger.readiness import check_writing
from ..tasks.publish import check_broker
from .context import current_storage

log = logging.getLogger(__name__)

OK, DEGRADED, UNAVAILABLE = "ok", "degraded", "unavailable"
# Everybody may ask, and each look writes a file, asks the database and opens a connection.
KEPT_SECONDS = 3.0


class Readiness:
    """What one process found when it looked last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[str, Any] = {}
        self._until = 0.0

    def look(self) -> dict[str, Any]:
        """Return what was found a moment ago, or look anew.

        Of all who ask at once, one looks, and the others wait for what it finds.
        """
        with self._lock:
            if not self._found or monotonic() >= self._until:
                self._found = _look_at_all()
                self._until = monotonic() + KEPT_SECONDS
            return self._found


def _look_at_all() -> dict[str, Any]:
    """Look at everything; whatever is raised on the way, this raises nothing."""
    ledger: dict[str, float | None] = {"oldest_slice_seconds": None, "clock_ahead_seconds": None}
    checks = {
        "database": _check("database", lambda: ledger.update(_ask_ledger())),
        "storage": _check("storage", lambda: current_storage().check()),
        "broker": _check("broker", check_broker),
    }
    if UNAVAILABLE in (checks["database"], checks["storage"]):
        status = UNAVAILABLE
    else:
        # Without a broker an upload is safe in the ledger, and recovery publishes it later.
        status = OK if checks["broker"] == OK else DEGRADED
    return {"status": status, "checks": checks, **ledger}


def _ask_ledger() -> dict[str, float]:
    """Return what the ledger says about work and time."""
    check_writing()
    return {"oldest_slice_seconds": round(oldest_slice_seconds()),
            "clock_ahead_seconds": round(clock_difference(), 1)}


def _check(name: str, attempt: Callable[[], None]) -> str:
    """Return how an attempt ended: whatever it raises, what it needs cannot be used."""
    try:
        attempt()
    except Exception as error:
        log.warning("Not ready: the %s is unavailable: %s", name, error)
        return UNAVAILABLE
    return OK
