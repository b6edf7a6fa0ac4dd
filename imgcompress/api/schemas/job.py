"""Jobs: their status, the list of them, and what asks for them."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from ...errors import IMAGE_FAULTS
from ...ledger.states import Channel, DeliveryState, JobStatus
from .paging import PageQuery, PageSchema, page_number
from .reading import ReadingSchema
from .times import Time

MAX_WAIT_SECONDS = 30

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


def _count(description: str, example: int) -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description, "example": example})


def _link(description: str, *, allow_none: bool = False) -> fields.String:
    return fields.String(required=True, allow_none=allow_none, metadata={
        "description": description, "format": "uri"})


def _partial() -> fields.Boolean:
    return fields.Boolean(
        load_default=False, error_messages={"invalid": "partial must be true or false."},
        metadata={"description": "While the job runs: the results so far."})


class JobSchema(Schema):
    """A job: one uploaded CSV, and how far its images have come."""

    request_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(JobStatus)))
    created_at = Time(required=True)
    updated_at = Time(required=True)
    started_at = Time(required=True, allow_none=True)
    finished_at = Time(required=True, allow_none=True)
    completion_percentage = _count("100 means that the job has ended.", 66)
    error_message = fields.String(required=True, allow_none=True, metadata={
        "description": "Why the job as a whole failed.", "example": None})
    source_filename = fields.String(required=True, metadata={"example": "products.csv"})
    total_rows = _count("Rows in the CSV.", 2)
    total_images = _count("Images in the CSV.", 6)
    completed_images = _count("Images that were compressed and stored.", 3)
    failed_images = _count("Images that failed.", 1)
    input_bytes = _count("Bytes of the completed images before compression.", 1_204_224)
    output_bytes = _count("Bytes of the completed images after compression.", 590_112)
    status_url = _link("This job.")
    details_url = _link("Its images.")
    download_url = _link("Its output CSV.")
    webhooks_url = _link("The deliveries of its webhooks and e-mails.")
    archive_url = _link("Its compressed images in a ZIP.")
    cancel_url = _link("POST to cancel the job; null when it has ended.", allow_none=True)
    retry_url = _link("POST to retry the failed images; null while the job runs, and when none"
                      " failed.", allow_none=True)


class FailureSchema(Schema):
    """Images that failed in one way at one host."""

    code = fields.String(required=True, metadata={"example": "source_status"})
    host = fields.String(required=True, metadata={"example": "cdn.supplier.com"})
    found = fields.Function(
        lambda failure: failure.found or None, required=True, metadata={
            "type": ["string", "null"], "example": "HTTP 403 Forbidden",
            "description": "What was found: the HTTP status, or what the URL returned instead of an"
                           " image; null where that differs from image to image, or where the code"
                           " says it all."})
    count = fields.Integer(required=True, attribute="images", metadata={"example": 212})
    example_row = fields.Integer(required=True, metadata={
        "description": "A row of the CSV with such an image.", "example": 3})


class LastDeliverySchema(Schema):
    """How the delivery of the job's last event stands."""

    id = fields.String(required=True, metadata={"example": "msg_3f2a9c0d7b5e4f6a8c1d2e3f4a5b6c7d"})
    event = fields.String(required=True, metadata={"example": "job.completed"})
    channel = fields.String(required=True, validate=validate.OneOf(list(Channel)))
    state = fields.String(required=True, validate=validate.OneOf(list(DeliveryState)))
    attempts = fields.Integer(required=True, metadata={"example": 1})
    next_attempt_at = Time(required=True, allow_none=True)


class StatusSchema(JobSchema, ReadingSchema):
    """A job with the time that it will still take, its failures, and its last delivery."""

    stalled_since = Time(required=True, allow_none=True, metadata={
        "description": "When the job last made progress, if it is stalled; null if it is not.",
        "example": None})
    eta_seconds = fields.Integer(required=True, allow_none=True, metadata={
        "description": "Estimated seconds until the end at the current pace; null when unknown.",
        "example": 12})
    errors = fields.List(fields.Nested(FailureSchema), required=True, metadata={
        "description": "The failures grouped by code, host and `found`, most frequent first; at"
                       " most 100."})
    last_delivery = fields.Nested(LastDeliverySchema, required=True, allow_none=True, metadata={
        "description": "The webhook of the last event, or its e-mail if there is no webhook; null"
                       " if there is neither."})


class JobListSchema(PageSchema):
    """A page of jobs, the newest first."""

    jobs = fields.List(fields.Nested(JobSchema), required=True)


class JobListQuery(PageQuery):
    """Which jobs are asked for."""

    status = fields.String(
        validate=validate.OneOf(
            list(JobStatus), error=f"status must be one of {', '.join(JobStatus)}."),
        metadata={"description": "Only jobs in this status."})


class StatusQuery(Schema):
    """How long the answer may wait."""

    wait = page_number("wait", 0, MAX_WAIT_SECONDS, default=0, description=(
        "Wait for up to this many seconds until the status or the percentage has changed."))


class DownloadQuery(Schema):
    """Which output CSV is asked for."""

    partial = _partial()  # type: ignore[assignment]
    delimiter = fields.String(
        load_default=None,
        validate=validate.OneOf(
            list(DELIMITERS), error=f"delimiter must be one of {', '.join(DELIMITERS)}."),
        metadata={"description": "The delimiter between cells; that of the upload if left out."})
    errors = fields.Boolean(
        load_default=False, error_messages={"invalid": "errors must be true or false."},
        metadata={"description": "A list of the images that failed, in place of the output CSV."})


class ArchiveQuery(Schema):
    """Which archive is asked for."""

    partial = _partial()  # type: ignore[assignment]


class _Codes(fields.List[str]):
    """Words that are separated by commas, that stand in several fields of one name, or both."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        words = [word.strip() for text in value for word in text.split(",")]
        return super()._deserialize([word for word in words if word], attr, data, **kwargs)


def _must_be_known(codes: list[str]) -> None:
    if not codes:
        raise ValidationError("codes is empty. List the codes of the images to retry, or leave"
                              " codes out to retry all failed images.")
    # validate.ContainsOnly would give the array, and not its items, an enum in the document.
    if not IMAGE_FAULTS.keys() >= set(codes):
        raise ValidationError(f"codes must be one or more of {', '.join(IMAGE_FAULTS)}.")


class RetryQuery(Schema):
    """Which images are tried again."""

    codes = _Codes(
        fields.String(metadata={"enum": list(IMAGE_FAULTS)}), load_default=(),
        validate=_must_be_known,
        metadata={
            "description": "Retry only images that failed with one of these codes, separated by"
                           " commas.",
            "example": ["source_status", "source_timeout"]})


class DeleteAllQuery(Schema):
    """Whether all jobs are meant."""

    all = fields.Boolean(required=True, truthy={"true"}, falsy=set(), metadata={
        "enum": [True], "description": "Confirms that every job is to be deleted."})


class DeletedSchema(Schema):
    """What was deleted."""

    deleted_jobs = _count("Number of deleted jobs.", 2)
