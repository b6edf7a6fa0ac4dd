"""Does the process answer, and does it have what it needs?"""

from __future__ import annotations

from typing import Any

from flask import current_app

from .blueprint import Blueprint
from .document import PUBLIC
from .readiness import UNAVAILABLE, Readiness
from .schemas.health import HealthSchema, ReadinessSchema

blueprint = Blueprint("health", __name__, description="Monitor the service.")

# Where the application keeps what its process found.
READINESS = "readiness"


@blueprint.route("/healthz")
@blueprint.doc(operationId="getHealth", **PUBLIC)
@blueprint.response(200, HealthSchema)
@blueprint.problems()
def healthz() -> Any:
    """Check that the process responds"""
    return {"status": "ok"}


@blueprint.route("/readyz")
@blueprint.doc(operationId="getReadiness", **PUBLIC)
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="Uploads are not accepted.")
@blueprint.problems()
def readyz() -> Any:
    """Check that uploads can be accepted

    The result is kept for three seconds.
    """
    readiness: Readiness = current_app.extensions[READINESS]
    found = readiness.look()
    return found if found["status"] != UNAVAILABLE else (found, 503)
