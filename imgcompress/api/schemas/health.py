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
        metadata={"description": "degraded: uploads are taken, and worked on when the broker"
                                 " takes messages again. unavailable: uploads cannot be taken."})
    checks = fields.Nested(ChecksSchema, required=True)
    oldest_slice_seconds = fields.Integer(required=True, allow_none=True, metadata={
        "description": "For how long the work that waits longest has not moved; 0 when nothing"
                       " waits, null when the ledger cannot tell.", "example": 0})
    clock_ahead_seconds = fields.Float(required=True, allow_none=True, metadata={
        "description": "By how many seconds the clock of the machine that answers is ahead of the"
                       " database's, or behind it when negative; null when the database cannot be"
                       " asked. The database's clock decides what is due, so a difference does no"
                       " harm to jobs; more than 2 s should be put right all the same.",
        "example": 0.0})
