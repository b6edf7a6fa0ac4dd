"""The shapes of requests and answers, from which the OpenAPI document is made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate, validates_schema

from ..csvfile import FILE_FORMATS, OUTPUTS
from ..errors import IMAGE_ERRORS
from ..ledger.models import FOUND_CHARS, Change, Channel, DeliveryState, ImageStatus, JobStatus
from ..options import RATINGS


class Time(fields.AwareDateTime):
    """A time in UTC, ISO 8601 with milliseconds and `Z`."""

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if value is None:
            return None
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return f"{utc.isoformat(timespec='milliseconds')}Z"


class FaultSchema(Schema):
    """One issue of a request."""

    field = fields.String(
        required=True,
        metadata={
            "description": "The field of the request; `file` for every issue in the CSV.",
            "example": "file",
        },
    )
    row = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "The row number in the CSV, counted as in a spreadsheet; null if the issue"
            " is not in a row.",
            "example": 4,
        },
    )
    column = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The header of the column; null if the issue is not in a column.",
            "example": "Input Image Urls",
        },
    )
    code = fields.String(
        required=True,
        metadata={"description": "A stable code for the issue.", "example": "relative_url"},
    )
    message = fields.String(
        required=True,
        metadata={
            "description": "What is wrong and how to fix it, for people.",
            "example": "This is a path, not a full image URL. Send base_url with the upload, such as"
            " base_url=https://shop.example.com/media/, or enter full URLs.",
        },
    )
    value = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The invalid value, shortened to 200 characters.",
            "example": None,
        },
    )


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it, with a stable code."""

    type = fields.String(required=True, metadata={"example": "about:blank"})
    title = fields.String(required=True, metadata={"example": "Not Found"})
    status = fields.Integer(required=True, metadata={"example": 404})
    detail = fields.String(
        required=True,
        metadata={
            "description": "What happened and what to do, for people.",
            "example": "There is no job with this id. Check the id; the job may also have been"
            " deleted.",
        },
    )
    instance = fields.String(
        required=True,
        metadata={
            "description": "The path of the request.",
            "example": "/job/status/7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11",
        },
    )
    code = fields.String(
        required=True,
        metadata={"description": "A stable code for the error.", "example": "job_not_found"},
    )
    retryable = fields.Boolean(
        required=True,
        metadata={"description": "Whether the same request can succeed later.", "example": False},
    )
    errors = fields.List(
        fields.Nested(FaultSchema), metadata={"description": "With 400: the first 100 issues."}
    )
    error_count = fields.Integer(
        metadata={"description": "With 400: the total number of issues.", "example": 1}
    )


class ColumnsSchema(Schema):
    """The columns that are read, as the file calls them."""

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


MAX_PER_PAGE = 1_000
# The largest number that both databases take as an offset, with any per_page.
MAX_PAGE = 10**9


def page_number(
    name: str, low: int, high: int, *, description: str, default: int | None = None
) -> fields.Integer:
    """Return a query field for a whole number within bounds."""
    message = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        load_default=missing if default is None else default,
        error_messages={"invalid": message, "too_large": message},
        validate=validate.Range(low, high, error=message),
        metadata={"description": description},
    )


class PageQuery(Schema):
    """Which page is asked for."""

    page = page_number("page", 1, MAX_PAGE, default=1, description="The page number, from 1.")
    per_page = page_number(
        "per_page", 1, MAX_PER_PAGE, default=100, description="Entries per page."
    )


class PageSchema(Schema):
    """The place of a page among the others."""

    page = fields.Integer(required=True, metadata={"example": 1})
    per_page = fields.Integer(required=True, metadata={"example": 100})
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The next page; null on the last one.", "format": "uri"},
    )
    prev = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The previous page; null on the first one.", "format": "uri"},
    )


class HealthSchema(Schema):
    """The process answers."""

    status = fields.String(required=True, validate=validate.OneOf(["ok"]))


class ChecksSchema(Schema):
    """The dependencies of the service."""

    database = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))
    storage = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))
    broker = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))


class ReadinessSchema(Schema):
    """Whether uploads are taken, and whether they are worked on at once."""

    status = fields.String(
        required=True,
        validate=validate.OneOf(["ok", "degraded", "unavailable"]),
        metadata={
            "description": "degraded: uploads are accepted, and processed when the message"
            " broker works again. unavailable: uploads are not accepted."
        },
    )
    checks = fields.Nested(ChecksSchema, required=True)
    oldest_slice_seconds = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Seconds since the work that has waited longest made progress; 0 if nothing"
            " waits, null when the database cannot be read.",
            "example": 0,
        },
    )
    clock_ahead_seconds = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "Seconds by which the clock of the responding machine is ahead of the"
            " database's clock, or behind it if negative; null when the database cannot"
            " be read. The database's clock decides when work is due, so a difference"
            " does not harm jobs; synchronise the clocks anyway if it exceeds 2 s.",
            "example": 0.0,
        },
    )


MAX_WAIT_SECONDS = 30
OUTCOMES = ("target_met", "floor_reached", "already_small", "larger")

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


def _count(description: str, example: int) -> fields.Integer:
    return fields.Integer(required=True, metadata={"description": description, "example": example})


def _link(description: str, *, allow_none: bool = False) -> fields.String:
    return fields.String(
        required=True, allow_none=allow_none, metadata={"description": description, "format": "uri"}
    )


def _partial() -> fields.Boolean:
    return fields.Boolean(
        load_default=False,
        error_messages={"invalid": "partial must be true or false."},
        metadata={"description": "While the job runs: the results so far."},
    )


def _compared(description: str) -> fields.Integer:
    return fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": f"{description}; null without `since`.", "example": None},
    )


class JobSchema(Schema):
    """A job: one uploaded CSV, and how far its images have come."""

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
            " and where `since=latest` found none.",
        },
    )
    unchanged_images = _compared("Images that did not change, and keep their results")
    changed_images = _compared("Images that changed, and were compressed again")
    new_images = _compared("Images that the earlier job had no result of")
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
    """Images that failed in one way at one host."""

    code = fields.String(required=True, metadata={"example": "source_status"})
    host = fields.String(required=True, metadata={"example": "cdn.supplier.com"})
    found = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "HTTP 403 Forbidden",
            "description": "What was found: the HTTP status, or what the URL returned instead of an"
            " image; null where that differs from image to image, or where the code"
            " says it all.",
        },
    )
    count = fields.Integer(required=True, metadata={"example": 212})
    example_row = fields.Integer(
        required=True,
        metadata={"description": "A row of the CSV with such an image.", "example": 3},
    )
    details_url = _link("These images.")
    retry_url = _link(
        "POST to retry these images alone; null while the job runs, and where a retry cannot help"
        " because the catalogue needs another URL.",
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
    """How good the compressed images look beside the originals."""

    median = fields.Integer(
        required=True, metadata={"description": "The whole points of it.", "example": 78}
    )
    lowest = fields.Integer(
        required=True, metadata={"description": "The whole points of it.", "example": 52}
    )
    rating = fields.String(
        required=True,
        validate=validate.OneOf(list(RATINGS)),
        metadata={"description": "The median in a word.", "example": "high"},
    )
    images = fields.List(fields.Nested(RatedImagesSchema), required=True)


class FormatAdviceSchema(Schema):
    """What a format would save of the images that it is advised for."""

    format = fields.String(required=True, metadata={"example": "webp"})
    images = fields.Integer(required=True, metadata={"example": 12})
    saved_bytes = fields.Integer(
        required=True,
        metadata={
            "description": "About how many bytes of these images after compression it would save.",
            "example": 1_204_224,
        },
    )


class StatusSchema(JobSchema, ReadingSchema):
    """A job with the time that it will still take, its failures, and its last delivery."""

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
            "description": "Formats that would save bytes of images which keep theirs; the details"
            " name the images."
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
    """Which jobs are asked for."""

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
    """How long the answer may wait, and for what."""

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


class DownloadQuery(Schema):
    """Which output CSV is asked for."""

    partial = _partial()  # type: ignore[assignment]
    delimiter = fields.String(
        load_default=None,
        validate=validate.OneOf(
            list(DELIMITERS), error=f"delimiter must be one of {', '.join(DELIMITERS)}."
        ),
        metadata={
            "description": "Have a CSV with this delimiter between cells, also of a workbook; the"
            " upload's own if left out. With `append` only."
        },
    )
    output = fields.String(
        load_default=None,
        validate=validate.OneOf(OUTPUTS, error="output must be append or replace."),
        metadata={
            "description": "Two columns more (`append`), or the new URLs in place of the old ones"
            " (`replace`); as the upload asked for if left out."
        },
    )
    errors = fields.Boolean(
        load_default=False,
        error_messages={"invalid": "errors must be true or false."},
        metadata={"description": "A list of the images that failed, in place of the output CSV."},
    )
    report = fields.Boolean(
        load_default=False,
        error_messages={"invalid": "report must be true or false."},
        metadata={
            "description": "A list of all images, with the reason if one failed and its change in a"
            " job with `since`, in place of the output CSV."
        },
    )


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
        raise ValidationError(
            "codes is empty. List the codes of the images to retry, or leave"
            " codes out to retry all failed images."
        )
    # validate.ContainsOnly would give the array, and not its items, an enum in the document.
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
        "Only failed images where this was found, as in `errors` of the status.",
        "HTTP 403 Forbidden",
    )


class RetryQuery(FailureGroupQuery):
    """Which images are tried again."""

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
    """Whether all jobs are meant."""

    all = fields.Boolean(
        required=True,
        truthy={"true"},
        falsy=set(),
        metadata={"enum": [True], "description": "Confirms that every job is to be deleted."},
    )


class DeletedSchema(Schema):
    """What was deleted."""

    deleted_jobs = _count("Number of deleted jobs.", 2)


MAX_ORDINAL = 2**31 - 1


def _number(description: str, example: int) -> fields.Integer:
    return fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": f"{description}; null until the image is COMPLETED.",
            "example": example,
        },
    )


class ImageErrorSchema(Schema):
    """Why an image failed."""

    code = fields.String(required=True, metadata={"example": "source_status"})
    message = fields.String(
        required=True,
        metadata={
            "example": "HTTP 404. The server refused to send the image; open the URL in a browser to"
            " see why."
        },
    )


# A removed image is no longer one of the job.
REMOVED = "removed"
CHANGES = (*Change, REMOVED)


class AdviceSchema(Schema):
    """Another format that would take fewer bytes; estimated from a part of the image."""

    format = fields.String(required=True, metadata={"example": "webp"})
    output_bytes = fields.Integer(
        required=True, metadata={"description": "About the bytes in it.", "example": 81_000}
    )
    saved_percentage = fields.Integer(
        required=True,
        metadata={
            "description": "The share of the original that it would save, in per cent.",
            "example": 61,
        },
    )
    message = fields.String(
        required=True,
        metadata={
            "example": "As WebP, this image would be about 61 % smaller than its original at the same"
            " looks. Upload it with format=webp, or with format=auto."
        },
    )


class ImageSchema(Schema):
    """One image of a job."""

    image_id = fields.UUID(required=True)
    row_number = fields.Integer(
        required=True,
        metadata={"description": "The row number, counted as in a spreadsheet.", "example": 2},
    )
    serial_number = fields.String(required=True, metadata={"example": "1"})
    product_name = fields.String(required=True, metadata={"example": "SKU1"})
    position = fields.Integer(
        required=True,
        metadata={"description": "The position among the URLs of the row, from 0.", "example": 0},
    )
    input_url = fields.String(required=True, metadata={"example": "https://shop.example.com/1.jpg"})
    output_url = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The compressed image; null until it is COMPLETED."},
    )
    status = fields.String(required=True, validate=validate.OneOf(list(ImageStatus)))
    outcome = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "target_met, floor_reached, already_small or larger.",
            "example": "target_met",
        },
    )
    change = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(CHANGES),
        metadata={
            "description": "new, changed or unchanged since the earlier job, or removed; null"
            " without `since`, and until the image is COMPLETED.",
            "example": None,
        },
    )
    error = fields.Nested(ImageErrorSchema, required=True, allow_none=True)
    input_bytes = _number("Size of the original in bytes", 401_408)
    output_bytes = _number("Size of the compressed image in bytes", 196_704)
    width = _number("Width in pixels", 1600)
    height = _number("Height in pixels", 1200)
    output_format = fields.String(required=True, allow_none=True, metadata={"example": "jpeg"})
    quality = _number("The encoder's quality, if the format has one", 71)
    score = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "How good the image looks beside the original, 0 to 100, on the scale of"
            " SSIMULACRA2; null until the image is COMPLETED.",
            "example": 78.4,
        },
    )
    rating = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(list(RATINGS)),
        metadata={
            "description": "The score in a word: visually lossless (from 90), high (from 70), medium"
            " (from 50) or low.",
            "example": "high",
        },
    )
    advice = fields.Nested(
        AdviceSchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "What another format would save of an image that keeps its format"
            " (`format=keep`) and ended with `floor_reached` or `already_small`; null where that is"
            " little, and for other images."
        },
    )
    similarity = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "deprecated": True,
            "description": "The score divided by 100; use `score` instead. For images of earlier"
            " versions, which have no score, an SSIM from 0 to 1.",
            "example": 0.784,
        },
    )


class DetailsSchema(PageSchema):
    """A page of a job's images."""

    request_id = fields.UUID(required=True)
    total = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Number of images on all pages at present; null with `outcome`, for which"
            " nobody has counted them.",
            "example": 6,
        },
    )
    images = fields.List(fields.Nested(ImageSchema), required=True)


SORTS = ("size", "saved")
# To find a page of a sorted list by its number, the database reads what comes before it.
MOST_SKIPPED = 100_000


class DetailsQuery(PageQuery, FailureGroupQuery):
    """Which images are asked for."""

    outcome = fields.String(
        validate=validate.OneOf(OUTCOMES, error=f"outcome must be one of {', '.join(OUTCOMES)}."),
        metadata={"description": "Only compressed images with this outcome."},
    )
    change = fields.String(
        validate=validate.OneOf(CHANGES, error=f"change must be one of {', '.join(CHANGES)}."),
        metadata={
            "description": "Only compressed images with this change since the earlier job; `removed`"
            " lists images of the earlier job that this one no longer has, as long as that job is"
            " kept."
        },
    )
    sort = fields.String(
        validate=validate.OneOf(SORTS, error=f"sort must be one of {', '.join(SORTS)}."),
        metadata={
            "description": "Only compressed images, in another order: those with the most bytes before"
            " compression first (`size`), or those that saved the most bytes (`saved`)."
        },
    )
    status = fields.String(
        validate=validate.OneOf(
            list(ImageStatus), error=f"status must be one of {', '.join(ImageStatus)}."
        ),
        metadata={"description": "Only images in this status."},
    )
    after = page_number(
        "after",
        0,
        MAX_ORDINAL,
        description="Only images after this one, as in the links of `next`. With a filter, the"
        " pages of a running job shift; the links of `next` neither skip nor repeat an"
        " image.",
    )

    @validates_schema
    def _one_status(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse properties that no image has together."""
        failed = [name for name in FailureGroupQuery._declared_fields if name in data]
        compressed = [name for name in ("outcome", "change", "sort") if name in data]
        if failed and compressed:
            raise ValidationError(
                f"{compressed[0]} is a property of compressed images, and {failed[0]} one of failed"
                " images. Leave one of them out.",
                compressed[0],
            )
        needed = ImageStatus.FAILED if failed else ImageStatus.COMPLETED
        if (failed or compressed) and data.get("status", needed) != needed:
            raise ValidationError(
                f"{(failed or compressed)[0]} needs images with status={needed}. Leave status out.",
                "status",
            )
        if len(compressed) > 1:
            raise ValidationError(
                f"Give {compressed[0]} or {compressed[1]}, not both.", compressed[1]
            )

    @validates_schema
    def _followed(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse to count pages where that would look at every image."""
        looked_for = {"code", "host", "found", "outcome", "change"} & data.keys()
        if looked_for and data["page"] > 1 and data.get("after") is None:
            raise ValidationError(
                f"With {' and '.join(sorted(looked_for))}, follow the links of next instead of"
                " giving a page.",
                "page",
            )
        skipped = (data["page"] - 1) * data["per_page"]
        if "sort" in data and data.get("after") is None and skipped > MOST_SKIPPED:
            raise ValidationError(
                f"With sort, a page may begin after {MOST_SKIPPED:,} images at most. Follow the"
                " links of next to read more.",
                "page",
            )


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
    """Which delivery is asked for."""

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


class EventImageSchema(Schema):
    """One image that is done."""

    input_url = fields.String(required=True)
    output_url = fields.String(required=True, allow_none=True)
    status = fields.String(
        required=True, validate=validate.OneOf([ImageStatus.COMPLETED, ImageStatus.FAILED])
    )


class StatusEventSchema(Schema):
    """The payload of a webhook: the job at the time its status changed."""

    request_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(JobStatus)))
    message = fields.String(required=True)
    completion_percentage = fields.Integer(required=True)
    total_images = fields.Integer(required=True)
    completed_images = fields.Integer(required=True)
    failed_images = fields.Integer(required=True)
    input_bytes = fields.Integer(required=True)
    output_bytes = fields.Integer(required=True)
    since_request_id = fields.UUID(
        allow_none=True,
        metadata={
            "description": "The earlier job. It and the next five fields are sent for an upload with `since` alone."
        },
    )
    unchanged_images = fields.Integer()
    changed_images = fields.Integer()
    new_images = fields.Integer()
    removed_images = fields.Integer()
    bytes_not_downloaded = fields.Integer()
    images = fields.List(
        fields.Nested(EventImageSchema),
        required=True,
        metadata={
            "description": "The finished images, in the order of the CSV: at most 1,000, and fewer if"
            " the payload would exceed 256 KiB."
        },
    )
    images_truncated = fields.Boolean(
        required=True,
        metadata={
            "description": "Whether there are more finished images than are listed; details_url has all"
            " of them."
        },
    )
    details_url = fields.String(required=True, metadata={"format": "uri"})
    download_url = fields.String(required=True, metadata={"format": "uri"})
