"""`/feeds`: tables that the service fetches regularly, to compress new and changed images."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from ..catalogue import OPTION_NAMES
from ..extensions import base_url, current_settings
from ..ledger import feeds
from ..ledger.feeds import MAX_EVERY, MIN_EVERY, NewFeed
from ..ledger.models import Feed, FeedOutcome, FeedState
from ..ledger.slices import REQUEST_HEADERS
from ..links import job_url, parse_id
from ..worker.queue import send
from .errors import FeedNotFound
from .job_reports import Time
from .middleware import current_owner
from .openapi import Blueprint
from .upload_form import (
    EXAMPLE_TABLE,
    HEADER_FIELDS,
    TRUST_AND_FRESH,
    UploadForm,
    callable_url,
    form_like_upload,
    trust_seconds,
)

BAD_EVERY = (
    "every must be a number of minutes, hours or days from 15m to 30d, such as 30m, 12h or 1d."
)
LIKE_UPLOAD = (
    "url_columns",
    "name_column",
    "id_column",
    "sheet",
    "base_url",
    "encoding",
    "on_row_error",
    "output",
    "output_columns",
    "row_options",
    "webhook_url",
    *OPTION_NAMES,
    *HEADER_FIELDS,
    "trust",
    "fresh",
)
MAX_URL_CHARS = 8_000


def _must_be_an_interval(value: str) -> None:
    seconds = trust_seconds(value)
    if seconds is None or not MIN_EVERY.total_seconds() <= seconds <= MAX_EVERY.total_seconds():
        raise ValidationError(BAD_EVERY)


class NewFeedSchema(form_like_upload(*LIKE_UPLOAD)):  # type: ignore[misc]
    """A table, how often it is fetched, and options as an upload has them."""

    csv_url = fields.String(
        required=True,
        error_messages={"required": "Send the URL of the catalogue as csv_url."},
        validate=validate.And(
            validate.Length(
                max=MAX_URL_CHARS, error=f"csv_url must have at most {MAX_URL_CHARS:,} characters."
            ),
            callable_url(EXAMPLE_TABLE),
        ),
        metadata={
            "description": "The URL of the catalogue, fetched in each run.",
            "format": "uri",
            "example": EXAMPLE_TABLE,
        },
    )
    every = fields.String(
        required=True,
        error_messages={"required": BAD_EVERY},
        validate=_must_be_an_interval,
        metadata={
            "description": "The time between two runs: a number of minutes (`m`), hours (`h`) or"
            " days (`d`), from `15m` to `30d`.",
            "example": "1d",
            "pattern": "^[1-9][0-9]{0,5}[mhd]$",
        },
    )

    @validates_schema
    def _trust_or_fresh(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("trust") and data.get("fresh"):
            raise ValidationError(TRUST_AND_FRESH, "trust")


class LastRunSchema(Schema):
    """How the last run of a feed ended."""

    ended_at = Time(required=True)
    outcome = fields.String(
        required=True,
        validate=validate.OneOf(list(FeedOutcome)),
        metadata={
            "description": "`job`: a job was made. `not_modified`: the table has not changed since"
            " the last job, so none was made. `failed`: see `code` and `message`.",
            "example": "job",
        },
    )
    code = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "A stable code for the error.", "example": None},
    )
    message = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What is wrong and how to fix it.", "example": None},
    )


class FeedSchema(Schema):
    """A feed and its last run."""

    feed_id = fields.UUID(required=True)
    csv_url = fields.String(required=True, metadata={"format": "uri"})
    every_seconds = fields.Integer(required=True, metadata={"example": 86_400})
    options = fields.Dict(
        required=True,
        metadata={
            "description": "The options for compressing its images.",
            "example": {"compression_percentage": 50, "format": "keep"},
        },
    )
    webhook_url = fields.String(required=True, allow_none=True, metadata={"format": "uri"})
    created_at = Time(required=True)
    state = fields.String(required=True, validate=validate.OneOf(list(FeedState)))
    next_run_at = Time(
        required=True,
        allow_none=True,
        metadata={
            "description": "When the next run is due; it waits for the last job to end. Null while"
            " the feed is paused."
        },
    )
    last_run = fields.Nested(
        LastRunSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null before the first run has ended."},
    )
    last_request_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The last job; null before the first one."},
    )
    status_url = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The status of that job.", "format": "uri"},
    )


class FeedListSchema(Schema):
    """The feeds of a caller, the newest first."""

    feeds = fields.List(fields.Nested(FeedSchema), required=True)


FEED_ID = {
    "in": "path",
    "name": "feed_id",
    "schema": {"type": "string", "format": "uuid"},
    "description": "The feed's id, as returned when it was created.",
}

blueprint = Blueprint(
    "feeds", __name__, url_prefix="/feeds", description="Compress a catalogue regularly."
)


@blueprint.route("", methods=["POST"])
@blueprint.doc(operationId="createFeed")
@blueprint.arguments(NewFeedSchema, location="form")
@blueprint.response(201, FeedSchema)
@blueprint.problems(409, 413, 503)
def create(values: dict[str, Any]) -> Any:
    """Create a feed

    The table is fetched at once and then at each interval. A run is a job with `since` the last
    one: only what changed is fetched and compressed. If the table has not changed, no job is made.
    A failed run is repeated at the next interval.
    """
    form = UploadForm(None, values, [])
    feed = feeds.create_feed(
        NewFeed(
            csv_url=values["csv_url"],
            every_seconds=trust_seconds(values["every"]) or 0,
            options=form.options,
            reading={
                "wishes": asdict(form.wishes),
                "sheet": values.get("sheet"),
                "output": values["output"],
                "output_columns": values.get("output_columns"),
            },
            base_url=base_url(),
            owner=current_owner(),
            webhook_url=values.get("webhook_url"),
            trust_seconds=trust_seconds(values["trust"]) if "trust" in values else None,
            fresh=bool(values.get("fresh")),
        ),
        current_settings().max_feeds,
    )
    send("run_feeds")
    return _shown(feed)


# With a slash at its end, this is the address of a feed with an empty id.
@blueprint.route("", strict_slashes=True)
@blueprint.doc(operationId="listFeeds")
@blueprint.response(200, FeedListSchema)
@blueprint.problems(503)
def list_all() -> Any:
    """List feeds

    Those of the API key in use, or all feeds if no keys are required.
    """
    return {"feeds": [_shown(feed) for feed in feeds.list_feeds(current_owner())]}


@blueprint.route("/<feed_id>", parameters=[FEED_ID])
@blueprint.doc(operationId="getFeed")
@blueprint.response(200, FeedSchema)
@blueprint.problems(404, 503)
def get(feed_id: str) -> Any:
    """Get a feed and its last run"""
    return _found(feed_id)


@blueprint.route("/<feed_id>/pause", methods=["POST"], parameters=[FEED_ID])
@blueprint.doc(operationId="pauseFeed")
@blueprint.response(200, FeedSchema)
@blueprint.problems(404, 503)
def pause(feed_id: str) -> Any:
    """Pause a feed

    No further run begins until the feed is resumed. A run that is under way is completed.
    """
    feeds.pause_feed(_found(feed_id)["feed_id"], current_owner())
    return _found(feed_id)


@blueprint.route("/<feed_id>/resume", methods=["POST"], parameters=[FEED_ID])
@blueprint.doc(operationId="resumeFeed")
@blueprint.response(200, FeedSchema)
@blueprint.problems(404, 503)
def resume(feed_id: str) -> Any:
    """Resume a paused feed

    If runs were missed, one is made at once for all of them.
    """
    feeds.resume_feed(_found(feed_id)["feed_id"], current_owner())
    send("run_feeds")
    return _found(feed_id)


@blueprint.route("/<feed_id>/run", methods=["POST"], parameters=[FEED_ID])
@blueprint.doc(operationId="runFeed")
@blueprint.response(202, FeedSchema)
@blueprint.problems(404, 409, 503)
def run(feed_id: str) -> Any:
    """Run a feed now

    The next run follows one interval later. If the last job is still running, the run waits for
    its end.
    """
    feeds.run_feed_now(_found(feed_id)["feed_id"], current_owner())
    send("run_feeds")
    return _found(feed_id)


@blueprint.route("/<feed_id>", methods=["DELETE"], parameters=[FEED_ID])
@blueprint.doc(operationId="deleteFeed")
@blueprint.response(204)
@blueprint.problems(404, 503)
def delete(feed_id: str) -> None:
    """Delete a feed

    Its jobs stay.
    """
    if not feeds.delete_feed(_found(feed_id)["feed_id"], current_owner()):
        raise FeedNotFound()


def _found(text: str) -> dict[str, Any]:
    """Return the feed with this id. Raise FeedNotFound, also for a feed of another key."""
    feed_id = parse_id(text)
    feed = feeds.find_feed(feed_id, current_owner()) if feed_id else None
    if feed is None:
        raise FeedNotFound()
    return _shown(feed)


def _shown(feed: Feed) -> dict[str, Any]:
    last = feed.last_request_id
    return {
        **{name: getattr(feed, name) for name in SHOWN},
        "options": {key: value for key, value in feed.options.items() if key != REQUEST_HEADERS},
        "next_run_at": feed.next_run_at if feed.state == FeedState.ACTIVE else None,
        "last_run": feed.last_outcome
        and {
            "ended_at": feed.last_run_at,
            "outcome": feed.last_outcome,
            "code": feed.error_code,
            "message": feed.error_message,
        },
        "status_url": job_url(base_url(), "status", last) if last else None,
    }


SHOWN = (
    "feed_id",
    "csv_url",
    "every_seconds",
    "webhook_url",
    "created_at",
    "state",
    "last_request_id",
)
