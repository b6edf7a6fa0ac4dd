"""The deliveries of a job's events: their log, and the call that resends one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, fields, validate

from ..ledger.deliveries import LoggedDelivery, deliveries_of, redeliver
from ..ledger.models import Channel, DeliveryState, JobRequest
from ..ledger.receivers import host_of
from ..worker.queue import publish_due_deliveries
from .errors import DeliveryNotFound
from .job_reports import Time
from .jobs import find_job
from .openapi import JOB_ID, Blueprint

EVENT_ID = {"example": "msg_3f2a9c0d7b5e4f6a8c1d2e3f4a5b6c7d"}


class AttemptSchema(Schema):
    """One attempt to deliver."""

    attempt = fields.Integer(required=True, metadata={"example": 1})
    started_at = Time(required=True)
    seconds = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "Duration in seconds; null while in progress, or if it was interrupted.",
            "example": 0.213,
        },
    )
    response_status = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "The HTTP status of the receiver's response; null if there was none.",
            "example": 200,
        },
    )
    error = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it failed; null if it did not.", "example": None},
    )


class CircuitSchema(Schema):
    """The state of the receiver, over all jobs."""

    receiver = fields.String(
        required=True,
        metadata={
            "description": "Scheme, host and port; or the mail server.",
            "example": "https://shop.example.com:443",
        },
    )
    failures = fields.Integer(
        required=True, metadata={"description": "Consecutive failures.", "example": 0}
    )
    open_until = Time(
        required=True,
        allow_none=True,
        metadata={
            "description": "Nothing is sent to the receiver until then, because it failed too often;"
            " null if it is not suspended."
        },
    )


class DeliverySchema(Schema):
    """One event on its way to one receiver."""

    id = fields.String(
        required=True,
        metadata={"description": "The `webhook-id`, the same in every attempt.", **EVENT_ID},
    )
    event = fields.String(required=True, metadata={"example": "job.completed"})
    channel = fields.String(required=True, validate=validate.OneOf(list(Channel)))
    target = fields.String(
        required=True,
        metadata={
            "description": "The webhook URL or the e-mail address.",
            "example": "https://shop.example.com/hooks/images",
        },
    )
    state = fields.String(required=True, validate=validate.OneOf(list(DeliveryState)))
    created_at = Time(required=True)
    delivered_at = Time(required=True, allow_none=True)
    next_attempt_at = Time(required=True, allow_none=True)
    circuit = fields.Nested(CircuitSchema, required=True)
    attempts = fields.List(fields.Nested(AttemptSchema), required=True)


class DeliveryLogSchema(Schema):
    """A job's deliveries, the oldest first."""

    request_id = fields.UUID(required=True)
    deliveries = fields.List(fields.Nested(DeliverySchema), required=True)


class RedeliverQuery(Schema):
    """The requested delivery."""

    id = fields.String(
        validate=validate.Length(
            min=1,
            error="id is empty. Give the id of a delivery, or leave id out to resend the webhook"
            " of the last event.",
        ),
        metadata={
            "description": "The delivery to resend; if left out, the webhook of the last event.",
            **EVENT_ID,
        },
    )


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
