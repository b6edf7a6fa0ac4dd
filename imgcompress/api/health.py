"""Does the process answer, and does it have what it needs?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..ledger.gauges import oldest_slice_seconds
from ..ledger.heartbeat import clock_difference
from ..ledger.readiness import check_writing
from ..tasks.publish import check_broker
from .blueprint import Blueprint
from .context import current_storage
from .document import PUBLIC
from .schemas.health import HealthSchema, ReadinessSchema

log = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__, description="Watch the service.")

OK, DEGRADED, UNAVAILABLE = "ok", "degraded", "unavailable"


@blueprint.route("/healthz")
@blueprint.doc(operationId="getHealth", **PUBLIC)
@blueprint.response(200, HealthSchema)
@blueprint.problems(400)
def healthz() -> Any:
    """Tell that the process answers"""
    return {"status": OK}


@blueprint.route("/readyz")
@blueprint.doc(operationId="getReadiness", **PUBLIC)
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="Uploads cannot be taken.")
@blueprint.problems(400)
def readyz() -> Any:
    """Tell whether uploads can be taken"""
    checks = {
        "database": _check("database", check_writing),
        "storage": _check("storage", lambda: current_storage().check()),
        "broker": _check("broker", check_broker),
    }
    told = {"checks": checks, **_of_ledger(checks["database"])}
    if UNAVAILABLE in (checks["database"], checks["storage"]):
        return {"status": UNAVAILABLE, **told}, 503
    # Without a broker an upload is still safe in the ledger, and recovery publishes it later.
    return {"status": OK if checks["broker"] == OK else DEGRADED, **told}


def _of_ledger(database: str) -> dict[str, float | None]:
    """Return what the ledger says about work and time, when it can be asked."""
    if database != OK:
        return {"oldest_slice_seconds": None, "clock_ahead_seconds": None}
    return {"oldest_slice_seconds": round(oldest_slice_seconds()),
            "clock_ahead_seconds": round(clock_difference(), 1)}


def _check(name: str, attempt: Callable[[], None]) -> str:
    """Return how an attempt ended: whatever it raises, what it needs cannot be used."""
    try:
        attempt()
    except Exception as error:
        log.warning("Not ready: the %s does not work: %s", name, error)
        return UNAVAILABLE
    return OK
