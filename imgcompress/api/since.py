"""The fields of an upload that compare its images with those of an earlier job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from ..ledger import queries
from ..ledger.changes import latest_job
from ..links import parse_id
from .auth import current_owner

LATEST = "latest"
UNKNOWN = (
    "since must be “latest”, or the request_id of one of your jobs. List them with GET /job, or"
    " leave since out to compress all images."
)
BAD_TRUST = (
    "trust must be a number of minutes, hours or days, such as 30m, 12h or 30d, and at most 365d."
)
TRUST_ALONE = "{name} needs since: it says how the results of an earlier job are taken over."
TRUST_AND_FRESH = "Give trust or fresh=true, not both: fresh=true fetches every image again."
_TRUST = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
MAX_TRUST_SECONDS = 365 * 86_400


def since() -> fields.String:
    """Return the field that names the earlier job."""
    return fields.String(
        validate=_must_be_a_job,
        metadata={
            "description": "Compress only what changed since an earlier job: its `request_id`, or"
            " `latest` for your newest ended job with the same options. Images that did not change"
            " keep their results.",
            "example": LATEST,
        },
    )


def trust() -> fields.String:
    """Return the field that says which results are taken over without a request."""
    return fields.String(
        validate=_must_be_a_span,
        metadata={
            "description": "With an earlier job: results younger than this are kept without asking"
            " their hosts. A number of minutes (`m`), hours (`h`) or days (`d`), at most `365d`.",
            "example": "30d",
            "pattern": "^[1-9][0-9]{0,5}[mhd]$",
        },
    )


def fresh() -> fields.Boolean:
    """Return the field that has every image fetched in full."""
    return fields.Boolean(
        load_default=lambda: False,
        error_messages={"invalid": "fresh must be true or false."},
        metadata={
            "description": "With an earlier job: fetch every image in full and compare its content,"
            " for hosts whose answers about changes are wrong."
        },
    )


def check_together(data: Mapping[str, Any]) -> None:
    """Raise ValidationError if these fields contradict each other."""
    for name in ("trust", "fresh"):
        if data.get(name) and "since" not in data:
            raise ValidationError(TRUST_ALONE.format(name=name), name)
    if data.get("trust") and data.get("fresh"):
        raise ValidationError(TRUST_AND_FRESH, "trust")


def comparison_of(values: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return what a NewJob with these options keeps of the fields; empty without `since`."""
    named = values.get("since")
    if named is None:
        return {}
    return {
        "since_id": latest_job(current_owner(), options) if named == LATEST else parse_id(named),
        "trust_seconds": trust_seconds(values["trust"]) if "trust" in values else None,
        "fresh": bool(values.get("fresh")),
        "removed_images": 0,
    }


def trust_seconds(text: str) -> int | None:
    """Return the seconds of a span such as `30d`, or None for any other text."""
    match = _TRUST.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    return seconds if 0 < seconds <= MAX_TRUST_SECONDS else None


def _must_be_a_job(value: str) -> None:
    if value == LATEST:
        return
    request_id = parse_id(value)
    if request_id is None or queries.find_job(request_id, current_owner()) is None:
        raise ValidationError(UNKNOWN)


def _must_be_a_span(value: str) -> None:
    if trust_seconds(value) is None:
        raise ValidationError(BAD_TRUST)
