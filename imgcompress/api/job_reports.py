"""A job as callers see it: the shapes of its calls, and how they are filled from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from marshmallow import Schema, ValidationError, fields, validate

from ..catalogue import RATINGS, rating_of
from ..csvfile import FILE_FORMATS, output_form
from ..errors import IMAGE_ERRORS
from ..extensions import base_url
from ..ledger.models import (
    ACTIVE_JOB,
    FOUND_CHARS,
    Channel,
    DeliveryState,
    JobFailure,
    JobRequest,
    JobScore,
    JobStatus,
    WebhookDelivery,
)
from ..ledger.queries import stalled_since
from ..links import job_url
from .paging import PageQuery, PageSchema, page_number


class Time(fields.AwareDateTime):
    """A time in UTC, ISO 8601 with milliseconds and `Z`."""

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if value is None:
            return None
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return f"{utc.isoformat(timespec='milliseconds')}Z"


class ColumnsSchema(Schema):
    """The columns that are read, by their names in the file."""

    urls = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The columns with the image URLs.",
            "example": ["Image Src", "Variant Image"],
        },
    )
    name = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The column with the product names.", "example": "Title"},
    )
    id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The column with the product identifiers.", "example": "Handle"},
    )


class ReadingSchema(Schema):
    """The columns and layout chosen in a catalogue."""

    layout = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The layout of the file: that of a shop, such as `shopify`; `imgcompress`"
            " for the columns of this service, `named` for columns named by the upload,"
            " `detected` for the only column with image URLs, null if none was found.",
            "example": "shopify",
        },
    )
    columns = fields.Nested(ColumnsSchema, required=True, allow_none=True)
    skipped_rows = fields.Integer(
        required=True,
        metadata={
            "description": "Rows that were left out because of an error, with `on_row_error=skip`.",
            "example": 0,
        },
    )
    download_format = fields.String(
        required=True,
        validate=validate.OneOf(FILE_FORMATS),
        metadata={
            "description": "The file format of the output: that of an uploaded Excel workbook, else"
            " `csv`.",
            "example": "csv",
        },
    )


MAX_WAIT_SECONDS = 30


def _count(description: str, example: int) -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description, "example": example})


def _link(description: str, *, allow_none: bool = False) -> fields.String:
    return fields.String(
        required=True, allow_none=allow_none, metadata={"description": description, "format": "uri"}
    )


def _compared(description: str) -> fields.Integer:
    return fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": f"{description}; null without `since`.", "example": None},
    )


class JobSchema(Schema):
    """A job: one uploaded CSV, and the progress of its images."""

    request_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(JobStatus)))
    created_at = Time(required=True)
    updated_at = Time(required=True)
    started_at = Time(required=True, allow_none=True)
    finished_at = Time(required=True, allow_none=True)
    completion_percentage = _count("100 means that the job has ended.", 66)
    error_message = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why the job as a whole failed.", "example": None},
    )
    source_filename = fields.String(required=True, metadata={"example": "products.csv"})
    total_rows = _count("Rows in the CSV.", 2)
    total_images = _count("Images in the CSV.", 6)
    completed_images = _count("Images that were compressed and stored.", 3)
    failed_images = _count("Images that failed.", 1)
    input_bytes = _count("Bytes of the completed images before compression.", 1_204_224)
    output_bytes = _count("Bytes of the completed images after compression.", 590_112)
    since_request_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata={
            "description": "The earlier job that this one is compared with; null without `since`,"
            " and if `since=latest` found none.",
        },
    )
    unchanged_images = _compared("Images that did not change, and keep their results")
    changed_images = _compared("Images that changed, and were compressed again")
    new_images = _compared("Images without a result in the earlier job")
    removed_images = _compared("Images of the earlier job that this CSV no longer has")
    bytes_not_downloaded = _compared("Bytes of unchanged images that were not downloaded")
    status_url = _link("This job.")
    details_url = _link("Its images.")
    download_url = _link("Its output CSV.")
    webhooks_url = _link("The deliveries of its webhooks and e-mails.")
    archive_url = _link("Its compressed images in a ZIP.")
    cancel_url = _link("POST to cancel the job; null when it has ended.", allow_none=True)
    retry_url = _link(
        "POST to retry the failed images; null while the job runs, and when none failed.",
        allow_none=True,
    )


class FailureSchema(Schema):
    """Images of one host that failed for one reason."""

    code = fields.String(required=True, metadata={"example": "source_status"})
    host = fields.String(required=True, metadata={"example": "cdn.supplier.com"})
    found = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "HTTP 403 Forbidden",
            "description": "The detail: the HTTP status, or the content that the URL returned"
            " instead of an image; null if it differs from image to image, or adds nothing to the"
            " code.",
        },
    )
    count = fields.Integer(required=True, metadata={"example": 212})
    example_row = fields.Integer(
        required=True,
        metadata={"description": "A row of the CSV with such an image.", "example": 3},
    )
    details_url = _link("These images.")
    retry_url = _link(
        "POST to retry only these images; null while the job runs, and if a retry cannot help"
        " because the catalogue needs other URLs.",
        allow_none=True,
    )


class LastDeliverySchema(Schema):
    """The delivery state of the job's last event."""

    id = fields.String(required=True, metadata={"example": "msg_3f2a9c0d7b5e4f6a8c1d2e3f4a5b6c7d"})
    event = fields.String(required=True, metadata={"example": "job.completed"})
    channel = fields.String(required=True, validate=validate.OneOf(list(Channel)))
    state = fields.String(required=True, validate=validate.OneOf(list(DeliveryState)))
    attempts = fields.Integer(required=True, metadata={"example": 1})
    next_attempt_at = Time(required=True, allow_none=True)


class RatedImagesSchema(Schema):
    """How many images have a rating."""

    rating = fields.String(required=True, validate=validate.OneOf(list(RATINGS)))
    count = fields.Integer(required=True, metadata={"example": 3})


class ScoresSchema(Schema):
    """How good the compressed images look, compared with the originals."""

    median = fields.Integer(required=True, metadata={"description": "Rounded down.", "example": 78})
    lowest = fields.Integer(required=True, metadata={"description": "Rounded down.", "example": 52})
    rating = fields.String(
        required=True,
        validate=validate.OneOf(list(RATINGS)),
        metadata={"description": "The rating of the median.", "example": "high"},
    )
    images = fields.List(fields.Nested(RatedImagesSchema), required=True)


class FormatAdviceSchema(Schema):
    """What a format would save for the images for which it is advised."""

    format = fields.String(required=True, metadata={"example": "webp"})
    images = fields.Integer(required=True, metadata={"example": 12})
    saved_bytes = fields.Integer(
        required=True,
        metadata={
            "description": "The approximate number of bytes that it would save of these images"
            " after compression.",
            "example": 1_204_224,
        },
    )


class StatusSchema(JobSchema, ReadingSchema):
    """A job with its remaining time, its failures, and its last delivery."""

    stalled_since = Time(
        required=True,
        allow_none=True,
        metadata={
            "description": "When the job last made progress, if it is stalled; null if it is not.",
            "example": None,
        },
    )
    eta_seconds = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Estimated seconds until the end at the current pace; null when unknown.",
            "example": 12,
        },
    )
    scores = fields.Nested(
        ScoresSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null until an image has been compressed."},
    )
    advice = fields.List(
        fields.Nested(FormatAdviceSchema),
        required=True,
        metadata={
            "description": "Formats that would save bytes for images that keep theirs; the details"
            " list the images."
        },
    )
    finished_in_run = _count("Images that ended since `started_at`; a retry begins a new run.", 4)
    errors = fields.List(
        fields.Nested(FailureSchema),
        required=True,
        metadata={
            "description": "The failures grouped by code, host and `found`, most frequent first; at"
            " most 100."
        },
    )
    last_delivery = fields.Nested(
        LastDeliverySchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "The webhook of the last event, or its e-mail if there is no webhook; null"
            " if there is neither."
        },
    )


class JobListSchema(PageSchema):
    """A page of jobs, the newest first."""

    jobs = fields.List(fields.Nested(JobSchema), required=True)


class JobListQuery(PageQuery):
    """The requested jobs."""

    status = fields.String(
        validate=validate.OneOf(
            list(JobStatus), error=f"status must be one of {', '.join(JobStatus)}."
        ),
        metadata={"description": "Only jobs in this status."},
    )
    search = fields.String(
        validate=validate.Length(
            1, 255, error="search must have 1 to 255 characters, or be left out."
        ),
        metadata={
            "description": "Only jobs whose file name contains this text, in any case.",
            "example": "autumn",
        },
    )


WAIT_FOR = ("change", "end")


class StatusQuery(Schema):
    """How long the answer may wait, and for which change."""

    wait = page_number(
        "wait",
        0,
        MAX_WAIT_SECONDS,
        description=(
            "Wait for up to this many seconds until the status or the percentage has changed. If"
            f" left out, 0, or {MAX_WAIT_SECONDS} with `wait_for=end`."
        ),
    )
    wait_for = fields.String(
        load_default="change",
        validate=validate.OneOf(WAIT_FOR, error=f"wait_for must be one of {', '.join(WAIT_FOR)}."),
        metadata={
            "description": "What to wait for: a `change` of the status or the percentage, or the"
            " `end` of the job, even if If-None-Match is outdated."
        },
    )


class _Codes(fields.List[str]):
    """Words separated by commas, in several fields of one name, or both."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        words = [word.strip() for text in value for word in text.split(",")]
        return super()._deserialize([word for word in words if word], attr, data, **kwargs)


def _must_be_known(codes: list[str]) -> None:
    if not codes:
        raise ValidationError(
            "codes is empty. List the codes of the images to retry, or leave"
            " codes out to retry all failed images."
        )
    # validate.ContainsOnly would add the enum to the array in the document, not to its items.
    if not IMAGE_ERRORS.keys() >= set(codes):
        raise ValidationError(f"codes must be one or more of {', '.join(IMAGE_ERRORS)}.")


def _short_text(name: str, most: int, description: str, example: str) -> fields.String:
    message = f"{name} must have 1 to {most} characters, or be left out."
    return fields.String(
        validate=validate.Length(1, most, error=message),
        metadata={"description": description, "example": example},
    )


class FailureGroupQuery(Schema):
    """Failed images of one kind, as the status groups them."""

    code = fields.String(
        validate=validate.OneOf(
            list(IMAGE_ERRORS), error=f"code must be one of {', '.join(IMAGE_ERRORS)}."
        ),
        metadata={"description": "Only images that failed with this code."},
    )
    host = _short_text(
        "host", 255, "Only failed images whose URL has this host.", "cdn.supplier.com"
    )
    found = _short_text(
        "found",
        FOUND_CHARS,
        "Only failed images with this `found`, as in `errors` of the status.",
        "HTTP 403 Forbidden",
    )


class RetryQuery(FailureGroupQuery):
    """The images to retry."""

    codes = _Codes(
        fields.String(metadata={"enum": list(IMAGE_ERRORS)}),
        load_default=(),
        validate=_must_be_known,
        metadata={
            "description": "Retry only images that failed with one of these codes, separated by"
            " commas.",
            "example": ["source_status", "source_timeout"],
        },
    )


class DeleteAllQuery(Schema):
    """The confirmation that all jobs are meant."""

    all = fields.Boolean(
        required=True,
        truthy={"true"},
        falsy=set(),
        metadata={"enum": [True], "description": "Confirms that every job is to be deleted."},
    )


class DeletedSchema(Schema):
    """The deleted jobs."""

    deleted_jobs = _count("Number of deleted jobs.", 2)


def is_active(job: JobRequest) -> bool:
    """Return whether the job is still running."""
    return job.status in ACTIVE_JOB


def eta_seconds(job: JobRequest) -> int | None:
    """Return the seconds to the end at the pace until the last update; None when unknown.

    The pace is that of this epoch, without images finished before a retry. It depends only on the
    ledger, so that two polls without a change in between are identical.
    """
    done = job.completed_images + job.failed_images
    done_now = done - job.done_before
    if job.status != JobStatus.PROCESSING or job.started_at is None or not done_now:
        return None
    elapsed = (job.updated_at - job.started_at).total_seconds()
    return max(0, round(elapsed * (job.total_images - done) / done_now))


COMPARED = (
    "unchanged_images",
    "changed_images",
    "new_images",
    "removed_images",
    "bytes_not_downloaded",
)


def job_report(job: JobRequest) -> dict[str, Any]:
    """Return a job for JobSchema."""
    active = is_active(job)
    unfinished = job.failed_images or job.status == JobStatus.CANCELLED
    return {
        "request_id": job.request_id,
        "status": job.status,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "completion_percentage": job.completion_percentage,
        "error_message": job.error_message,
        "source_filename": job.source_filename,
        "total_rows": job.total_rows,
        "total_images": job.total_images,
        "completed_images": job.completed_images,
        "failed_images": job.failed_images,
        "input_bytes": job.input_bytes,
        "output_bytes": job.output_bytes,
        "since_request_id": job.since_id,
        **{name: getattr(job, name) if job.is_compared else None for name in COMPARED},
        "status_url": _url(job, "status"),
        "details_url": _url(job, "details"),
        "download_url": _url(job, "download"),
        "webhooks_url": _url(job, "webhooks"),
        "archive_url": _url(job, "archive"),
        "cancel_url": _url(job, "cancel") if active else None,
        "retry_url": _url(job, "retry") if unfinished and not active else None,
    }


def _url(job: JobRequest, call: str) -> str:
    return job_url(base_url(), call, job.request_id)


def status_report(
    job: JobRequest,
    failures: Sequence[JobFailure],
    scores: Sequence[JobScore],
    last_delivery: WebhookDelivery | None,
) -> dict[str, Any]:
    """Return a job for StatusSchema; one of an earlier version has no layout or columns."""
    reading = job.reading or {}
    return job_report(job) | {
        "layout": reading.get("layout"),
        "columns": reading.get("columns"),
        "skipped_rows": reading.get("skipped_rows", 0),
        "download_format": output_form(job.reading).file_format,
        "stalled_since": stalled_since(job),
        "eta_seconds": eta_seconds(job),
        "finished_in_run": job.completed_images + job.failed_images - job.done_before,
        **scores_report(scores),
        "errors": [failure_report(job, failure) for failure in failures],
        "last_delivery": last_delivery,
    }


def scores_report(scores: Sequence[JobScore]) -> dict[str, Any]:
    """Return the scores of a job's images, and the advice for them, for StatusSchema."""
    total = sum(entry.images for entry in scores)
    if not total:
        return {"scores": None, "advice": []}
    counted, median = 0, 0
    ratings = dict.fromkeys(RATINGS, 0)
    advice: dict[str, dict[str, Any]] = {}
    for entry in scores:
        if counted <= (total - 1) // 2:
            median = entry.score
        counted += entry.images
        ratings[rating_of(entry.score)] += entry.images
        if entry.advice_format:
            of_format = advice.setdefault(
                entry.advice_format, {"format": entry.advice_format, "images": 0, "saved_bytes": 0}
            )
            of_format["images"] += entry.images
            of_format["saved_bytes"] += entry.saved_bytes
    return {
        "scores": {
            "median": median,
            "lowest": scores[0].score,
            "rating": rating_of(median),
            "images": [{"rating": word, "count": count} for word, count in ratings.items()],
        },
        "advice": sorted(advice.values(), key=lambda entry: -entry["saved_bytes"]),
    }


def failure_report(job: JobRequest, failure: JobFailure) -> dict[str, Any]:
    """Return failures of one kind for FailureSchema."""
    group = {"code": failure.code, "host": failure.host, "found": failure.found}
    query = urlencode({name: value for name, value in group.items() if value})
    can_help = failure.code in IMAGE_ERRORS and not IMAGE_ERRORS[failure.code].needs_other_url
    return {
        "code": failure.code,
        "host": failure.host,
        "found": failure.found or None,
        "count": failure.images,
        "example_row": failure.example_row,
        "details_url": f"{_url(job, 'details')}?{query}",
        "retry_url": f"{_url(job, 'retry')}?{query}" if can_help and not is_active(job) else None,
    }
