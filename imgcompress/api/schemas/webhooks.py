"""Deliveries of status events, and the event itself."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from ...ledger.states import Channel, DeliveryState, ImageStatus, JobStatus
from .times import Time

EVENT_ID = {"example": "msg_3f2a9c0d7b5e4f6a8c1d2e3f4a5b6c7d"}


class AttemptSchema(Schema):
    """One attempt to deliver."""

    attempt = fields.Integer(required=True, metadata={"example": 1})
    started_at = Time(required=True)
    seconds = fields.Float(required=True, allow_none=True, metadata={
        "description": "Duration in seconds; null while in progress, or if it was interrupted.",
        "example": 0.213})
    response_status = fields.Integer(required=True, allow_none=True, metadata={
        "description": "The HTTP status of the receiver's response; null if there was none.",
        "example": 200})
    error = fields.String(required=True, allow_none=True, metadata={
        "description": "Why it failed; null if it did not.", "example": None})


class CircuitSchema(Schema):
    """How the receiver fares, over all jobs."""

    receiver = fields.String(required=True, metadata={
        "description": "Scheme, host and port; or the mail server.",
        "example": "https://shop.example.com:443"})
    failures = fields.Integer(required=True, metadata={
        "description": "Consecutive failures.", "example": 0})
    open_until = Time(required=True, allow_none=True, metadata={
        "description": "Nothing is sent to the receiver until then, because it failed too often;"
                       " null if it is not suspended."})


class DeliverySchema(Schema):
    """One event on its way to one receiver."""

    id = fields.String(required=True, metadata={
        "description": "The `webhook-id`, the same in every attempt.", **EVENT_ID})
    event = fields.String(required=True, metadata={"example": "job.completed"})
    channel = fields.String(required=True, validate=validate.OneOf(list(Channel)))
    target = fields.String(required=True, metadata={
        "description": "The webhook URL or the e-mail address.",
        "example": "https://shop.example.com/hooks/images"})
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
    """Which delivery is asked for."""

    id = fields.String(validate=validate.Length(
        min=1, error="id is empty. Give the id of a delivery, or leave id out to resend the webhook"
                     " of the last event."), metadata={
        "description": "The delivery to resend; if left out, the webhook of the last event.",
        **EVENT_ID})


class EventImageSchema(Schema):
    """One image that is done."""

    input_url = fields.String(required=True)
    output_url = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(
        [ImageStatus.COMPLETED, ImageStatus.FAILED]))


class StatusEventSchema(Schema):
    """What a webhook tells: the job as it stood when its status changed."""

    request_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(JobStatus)))
    message = fields.String(required=True)
    completion_percentage = fields.Integer(required=True)
    total_images = fields.Integer(required=True)
    completed_images = fields.Integer(required=True)
    failed_images = fields.Integer(required=True)
    input_bytes = fields.Integer(required=True)
    output_bytes = fields.Integer(required=True)
    images = fields.List(fields.Nested(EventImageSchema), required=True, metadata={
        "description": "The finished images, in the order of the CSV: at most 1,000, and fewer if"
                       " the payload would exceed 256 KiB."})
    images_truncated = fields.Boolean(required=True, metadata={
        "description": "Whether there are more finished images than are listed; details_url has all"
                       " of them."})
    details_url = fields.String(required=True, metadata={"format": "uri"})
    download_url = fields.String(required=True, metadata={"format": "uri"})
