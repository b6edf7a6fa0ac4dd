"""`GET /stats`: the savings of the caller's jobs, by day or month."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ..ledger.clock import ledger_now
from ..ledger.models import utcnow
from ..ledger.savings import SUMMED, Savings, savings
from .middleware import current_owner
from .openapi import Blueprint

DEFAULT_DAYS = 30
MOST_DAYS = {"day": 366, "month": 3660}
BAD_DATE = "{name} must be a date such as 2026-11-29."


def _date(name: str, about: str) -> fields.Date:
    message = BAD_DATE.format(name=name)
    return fields.Date(
        data_key=name,
        error_messages={"invalid": message, "format": message},
        metadata={"description": about, "example": "2026-11-29"},
    )


class StatsQuery(Schema):
    """The requested days."""

    first = _date("from", "The first day (UTC); 29 days before `to` if left out.")
    last = _date("to", "The last day (UTC); today if left out.")
    group_by = fields.String(
        load_default="day",
        validate=validate.OneOf(list(MOST_DAYS), error="group_by must be day or month."),
        metadata={"description": "The period of each entry."},
    )

    @validates_schema
    def _bounded(self, data: dict[str, Any], **_: Any) -> None:
        if "first" in data:
            days = (data.get("last", utcnow().date()) - data["first"]).days + 1
            most = MOST_DAYS[data["group_by"]]
            if days < 1:
                raise ValidationError("from must not be after to.", "from")
            if days > most:
                raise ValidationError(
                    f"With group_by={data['group_by']}, give at most {most:,} days.", "from"
                )


class SumsSchema(Schema):
    """The savings of jobs that ended in a period."""

    jobs = fields.Integer(required=True, metadata={"example": 30})
    images = fields.Integer(
        required=True, metadata={"description": "Completed images.", "example": 60_000}
    )
    failed_images = fields.Integer(required=True, metadata={"example": 12})
    unchanged_images = fields.Integer(
        required=True,
        metadata={
            "description": "Completed images that kept an earlier result.",
            "example": 58_000,
        },
    )
    input_bytes = fields.Integer(
        required=True, metadata={"description": "Before compression.", "example": 24_000_000_000}
    )
    output_bytes = fields.Integer(
        required=True, metadata={"description": "After compression.", "example": 11_000_000_000}
    )
    bytes_not_downloaded = fields.Integer(
        required=True,
        metadata={"description": "Of unchanged images.", "example": 23_000_000_000},
    )
    failures = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Failed images by code.", "example": {"source_status": 12}},
    )


class PeriodSchema(SumsSchema):
    """The sums of one day or month."""

    period = fields.String(required=True, metadata={"example": "2026-11-29"})


class StatsSchema(Schema):
    """The sums of a caller's jobs."""

    first = fields.Date(required=True, data_key="from")
    last = fields.Date(required=True, data_key="to")
    group_by = fields.String(required=True)
    total = fields.Nested(SumsSchema, required=True)
    periods = fields.List(
        fields.Nested(PeriodSchema),
        required=True,
        metadata={"description": "In chronological order, without those in which no job ended."},
    )


blueprint = Blueprint("stats", __name__, url_prefix="/stats", description="See the savings.")


@blueprint.route("")
@blueprint.doc(operationId="getStats")
@blueprint.arguments(StatsQuery, location="query")
@blueprint.response(200, StatsSchema)
@blueprint.problems(400, 503)
def stats(query: dict[str, Any]) -> Any:
    """Get savings by day or month

    Sums of the jobs of the API key in use, or of all jobs if no keys are required. A job counts
    when it ends. Sums stay when jobs are deleted.
    """
    last: date = query.get("last") or ledger_now().date()
    first: date = query.get("first") or last - timedelta(days=DEFAULT_DAYS - 1)
    total = Savings(Counter(), Counter())
    periods: dict[str, Savings] = {}
    for day, found in savings(current_owner(), first, last).items():
        period = day.isoformat() if query["group_by"] == "day" else f"{day:%Y-%m}"
        for entry in (total, periods.setdefault(period, Savings(Counter(), Counter()))):
            entry.sums.update(found.sums)
            entry.failures.update(found.failures)
    return {
        "first": first,
        "last": last,
        "group_by": query["group_by"],
        "total": _sums(total),
        "periods": [{"period": period, **_sums(entry)} for period, entry in periods.items()],
    }


def _sums(entry: Savings) -> dict[str, Any]:
    failures = {code: images for code, images in sorted(entry.failures.items()) if images}
    return {**{name: entry.sums[name] for name in SUMMED}, "failures": failures}
