"""Whether the service works."""

from __future__ import annotations

from marshmallow import Schema, fields, validate


class HealthSchema(Schema):
    """The process answers."""

    status = fields.String(required=True, validate=validate.OneOf(["ok"]))


class ChecksSchema(Schema):
    """What the service needs."""

    database = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))
    storage = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))
    broker = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))


class ReadinessSchema(Schema):
    """Whether uploads are taken, and whether they are worked on at once."""

    status = fields.String(
        required=True, validate=validate.OneOf(["ok", "degraded", "unavailable"]),
        metadata={"description": "degraded: uploads are accepted, and processed when the message"
                                 " broker works again. unavailable: uploads are not accepted."})
    checks = fields.Nested(ChecksSchema, required=True)
    oldest_slice_seconds = fields.Integer(required=True, allow_none=True, metadata={
        "description": "Seconds since the work that has waited longest made progress; 0 if nothing"
                       " waits, null when the database cannot be read.", "example": 0})
    clock_ahead_seconds = fields.Float(required=True, allow_none=True, metadata={
        "description": "Seconds by which the clock of the responding machine is ahead of the"
                       " database's clock, or behind it if negative; null when the database cannot"
                       " be read. The database's clock decides when work is due, so a difference"
                       " does not harm jobs; synchronise the clocks anyway if it exceeds 2 s.",
        "example": 0.0})
