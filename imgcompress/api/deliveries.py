"""The deliveries of a job's events: their log, and the call that sends one again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ledger.deliveries import LoggedDelivery, deliveries_of, redeliver
from ..ledger.models import Channel, JobRequest
from ..ledger.receivers import host_of
from ..worker.queue import publish_due_deliveries
from .errors import DeliveryNotFound
from .jobs import find_job
from .openapi import JOB_ID, Blueprint
from .schemas import DeliveryLogSchema, RedeliverQuery

blueprint = Blueprint(
    "webhooks",
    __name__,
    url_prefix="/job",
    description="See the deliveries of webhooks and e-mails.",
)


@blueprint.route("/webhooks/<request_id>", parameters=[JOB_ID])
@blueprint.doc(operationId="getWebhooks")
@blueprint.response(200, DeliveryLogSchema)
@blueprint.problems(404, 503)
def webhooks(request_id: str) -> Any:
    """List a job's deliveries

    Each webhook and e-mail with its attempts, the time of the next one, and the state of its
    receiver.
    """
    return _log(find_job(request_id))


@blueprint.route("/webhooks/<request_id>/redeliver", methods=["POST"], parameters=[JOB_ID])
@blueprint.doc(operationId="redeliverWebhook")
@blueprint.arguments(RedeliverQuery, location="query")
@blueprint.response(202, DeliveryLogSchema)
@blueprint.problems(400, 404, 503)
def send_again(query: dict[str, Any], request_id: str) -> Any:
    """Resend an event

    It is sent at once with the same id and payload, whatever the result of earlier attempts. Its
    receiver is no longer suspended.
    """
    job = find_job(request_id)
    if not redeliver(_chosen(deliveries_of(job), query.get("id"))):
        raise DeliveryNotFound()
    publish_due_deliveries()
    return _log(find_job(request_id))


def _chosen(logged: Sequence[LoggedDelivery], wanted: str | None) -> str:
    """Return the id of the wanted delivery, or of the last webhook. Raise DeliveryNotFound."""
    for entry in reversed(logged):
        delivery = entry.delivery
        if delivery.id == wanted or (wanted is None and delivery.channel == Channel.WEBHOOK):
            return delivery.id
    raise DeliveryNotFound()


def _log(job: JobRequest) -> dict[str, Any]:
    return {"request_id": job.request_id, "deliveries": list(map(_report, deliveries_of(job)))}


def _report(logged: LoggedDelivery) -> dict[str, Any]:
    names = ("id", "event", "channel", "state", "created_at", "delivered_at", "next_attempt_at")
    delivery = logged.delivery
    circuit = logged.circuit
    circuit_report = {
        "receiver": host_of(delivery.receiver),
        "failures": circuit.failures if circuit else 0,
        "open_until": circuit and circuit.open_until,
    }
    return {name: getattr(delivery, name) for name in names} | {
        "target": logged.target,
        "circuit": circuit_report,
        "attempts": logged.attempts,
    }
