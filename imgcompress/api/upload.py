"""`POST /upload`: accept a CSV, validate it, and create its job."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import file_digest, sha256
from io import BufferedIOBase
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, BinaryIO, cast
from uuid import UUID

from flask import Response, g, jsonify, request
from marshmallow import Schema, fields
from werkzeug.datastructures import FileStorage

from ..csvfile import (
    BadCatalogue,
    CatalogueLimits,
    Table,
    Validation,
    kept_layout,
    opened_table,
    read_preview,
    validate_file,
)
from ..errors import LedgerUnavailable
from ..extensions import base_url, current_extension, current_settings
from ..ledger.bulk import time_ordered_ids
from ..ledger.idempotency import KeyClaim, claim_key, free_key, keep_answer
from ..ledger.intake import Condition, NewJob
from ..ledger.jobs import check_job_quota, check_quota
from ..ledger.models import JobStatus
from ..links import job_url
from ..logs import bind
from ..tracing import UPLOAD, record
from ..worker.intake import (
    TableNotFetched,
    fetch_table,
    fetched_name,
    kept_reading,
    take_in,
    url_error,
)
from ..worker.queue import publish_slices
from .errors import (
    ISSUES_SHOWN,
    VALUE_CHARS,
    InvalidRequest,
    InvalidUpload,
    IssueSchema,
    RequestIssue,
    TooManyFetches,
    issues_of_file,
)
from .job_reports import ReadingSchema
from .middleware import current_owner
from .openapi import Blueprint, links_to
from .upload_form import UploadForm, UploadSchema, comparison_of, headers_of, read_form


def _warnings() -> fields.Field[Any]:
    return fields.List(
        fields.Nested(IssueSchema),
        required=True,
        metadata={
            "description": "Warnings about an accepted file: columns with URLs that are not read and,"
            " with `on_row_error=skip`, the first 100 errors of rows."
        },
    )


class AcceptedSchema(ReadingSchema):
    """The answer to an upload."""

    request_id = fields.UUID(
        required=True, metadata={"description": "The job's id, for all further calls."}
    )
    status = fields.String(required=True, metadata={"example": "PENDING"})
    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    status_url = fields.String(required=True, metadata={"format": "uri"})
    warnings = _warnings()


class PreviewRowSchema(Schema):
    """A parsed row of the table."""

    row = fields.Integer(
        required=True,
        metadata={"description": "The row number, counted as in a spreadsheet.", "example": 2},
    )
    cells = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Its cells, in the order of the header; each is shortened to 200"
            " characters.",
            "example": ["mug", "Blue mug", "//cdn.example.com/mug.jpg"],
        },
    )
    images = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The first 10 image URLs that are read from the row.",
            "example": ["https://cdn.example.com/mug.jpg"],
        },
    )


class PreviewSchema(Schema):
    """The first rows of a table, parsed."""

    header_row = fields.Integer(
        required=True,
        metadata={"description": "The row with the names of the columns.", "example": 1},
    )
    header = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The names of the first 1,000 columns, from left to right.",
            "example": ["Handle", "Title", "Image Src"],
        },
    )
    image_columns = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The columns that hold image URLs, whether or not they are read.",
            "example": ["Image Src"],
        },
    )
    rows = fields.List(
        fields.Nested(PreviewRowSchema),
        required=True,
        metadata={"description": "The first 5 rows that are not blank."},
    )


class DryRunSchema(ReadingSchema):
    """The answer to a dry run."""

    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    preview = fields.Nested(
        PreviewSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The first rows; null if the file could not be read as a table."},
    )
    errors = fields.List(
        fields.Nested(IssueSchema), required=True, metadata={"description": "The first 100 issues."}
    )
    warnings = _warnings()
    error_count = fields.Integer(required=True, metadata={"example": 0})


HEADER = "Idempotency-Key"
KEY_CHARS = 255
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "maxLength": KEY_CHARS},
    "description": "A text of your choice, such as a UUID. An upload repeated with the"
    " same key within 24 hours creates no second job and returns the first"
    " response.",
}
REPLAYED = {"Idempotency-Replayed": "true"}
# The answer to an upload: the body, which is stored for repetitions, the status, the headers.
Answer = tuple[dict[str, Any], int, dict[str, str]]


def answer_once(
    stream: BinaryIO | None, values: Mapping[str, Any], answer: Callable[[KeyClaim | None], Answer]
) -> Answer:
    """Answer an upload, or repeat the answer to the first one with its key.

    Without a stream only the fields decide whether it is the same upload, since a fetched file may
    have changed. `answer` stores its answer with the claim that it receives. If it raises, the key
    is free for another upload. Raise KeyInUse and KeyReused.
    """
    key = _key()
    if key is None:
        return answer(None)
    claim = claim_key(current_owner(), key, _fingerprint(stream, values))
    if not isinstance(claim, KeyClaim):
        return claim, 202, {"Location": claim["status_url"], **REPLAYED}
    try:
        return answer(claim)
    except BaseException:
        # While the ledger is unavailable, the lease frees the key.
        with suppress(LedgerUnavailable):
            free_key(claim)
        raise


def _key() -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= KEY_CHARS and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            [
                RequestIssue(
                    HEADER,
                    None,
                    None,
                    "invalid_idempotency_key",
                    f"{HEADER} must be 1 to {KEY_CHARS}"
                    " printable ASCII characters, such as a UUID.",
                    key[:VALUE_CHARS],
                )
            ]
        )
    return key


def _fingerprint(stream: BinaryIO | None, values: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of the file and the other fields."""
    file = None
    if stream is not None:
        stream.seek(0)
        file = file_digest(cast("BufferedIOBase", stream), sha256).hexdigest()
        stream.seek(0)
    fields = {name: value for name, value in values.items() if name != "file"}
    return sha256(json.dumps([file, fields], sort_keys=True, default=str).encode()).hexdigest()


log = logging.getLogger(__name__)

# Each occupies a thread of the web server; the limit is per process.
MOST_AT_ONCE = 32
MOST_OF_OWNER = 8


@contextmanager
def with_table(form: UploadForm) -> Iterator[UploadForm]:
    """Yield the form with the table fetched from its `csv_url` as its file, or with an issue.

    A form with a file, or without a valid `csv_url`, is not changed. Raise TooManyFetches.
    """
    if form.csv_url is None:
        yield form
        return
    with TemporaryFile() as file:
        try:
            with _place(current_owner() or ""):
                fetched = fetch_table(
                    current_settings(), form.csv_url, file, headers_of(form.values)
                )
        except TableNotFetched as error:
            log.info("A table could not be fetched: %s", error)
            issue = RequestIssue("csv_url", None, None, error.code, error.message, None)
            yield replace(form, issues=[*form.issues, issue])
            return
        yield replace(form, file=FileStorage(cast("IO[bytes]", file), fetched_name(fetched)))


_lock = Lock()
_under_way: Counter[str] = Counter()


@contextmanager
def _place(owner: str) -> Iterator[None]:
    """Hold one of the places for fetching tables. Raise TooManyFetches."""
    with _lock:
        if _under_way.total() >= MOST_AT_ONCE or _under_way[owner] >= MOST_OF_OWNER:
            raise TooManyFetches()
        _under_way[owner] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[owner] -= 1
            if not _under_way[owner]:
                del _under_way[owner]


blueprint = Blueprint("upload", __name__, description="Upload a CSV of image URLs.")

ACCEPTED = "Upload accepted. Poll status_url for progress."
NO_ISSUES = "No issues found. Nothing was stored; upload the file without dry_run to start the job."
WITH_ISSUES = (
    "The upload cannot be accepted as it is. Nothing was stored; fix the issues listed in errors."
)
LOCATION = {
    "Location": {
        "description": "The address of the job's status.",
        "schema": {"type": "string", "format": "uri"},
    }
}
NEXT = links_to(
    "getStatus",
    "getDetails",
    "downloadCsv",
    "downloadArchive",
    "getWebhooks",
    "redeliverWebhook",
    "cancelJob",
    "retryJob",
    "deleteJob",
)


@blueprint.route("/upload", methods=["POST"], any_query=True)
@blueprint.doc(
    operationId="upload",
    parameters=[PARAMETER],
    responses={202: {"links": NEXT}},
    requestBody={"required": True, "content": {"multipart/form-data": {"schema": UploadSchema}}},
)
@blueprint.response(202, AcceptedSchema, headers=LOCATION)
@blueprint.alt_response(200, schema=DryRunSchema, description="The result of a dry run.")
@blueprint.problems(400, 409, 413, 415, 422, 429, 503)
def upload() -> Any:
    """Upload a CSV

    The CSV is sent as `file`, or fetched from `csv_url`. Every image in it is fetched, compressed
    and stored. The response comes at once; the work is done in the background. Options can also be
    sent in the query string.
    """
    form = read_form()
    if form.csv_url is None or form.issues or form.values.get("dry_run"):
        return _take(form)
    check_job_quota(current_owner(), current_settings().max_active_jobs)
    return answer_once(None, form.values, partial(_take, form))


def _take(form: UploadForm, claim: KeyClaim | None = None) -> Any:
    """Validate the sent or fetched table; answer with its issues, or with its job."""
    limits = CatalogueLimits(max_images=current_settings().max_images_per_job)
    with ExitStack() as opened:
        form = opened.enter_context(with_table(form))
        if form.file is None:
            raise InvalidUpload(form.issues)
        stream = cast("BinaryIO", form.file.stream)
        try:
            table = opened.enter_context(
                opened_table(
                    stream, limits, current_settings().max_upload_bytes, form.values.get("sheet")
                )
            )
        except BadCatalogue as bad:
            table, found = Table(stream), Validation(0, 0, (bad.issue,), 1)
        else:
            check_url = partial(url_error, current_settings())
            found = validate_file(table.csv, limits, check_url, form.wishes)
            if table.warning:
                found = replace(found, warnings=(*found.warnings, table.warning))
        issues = [*form.issues, *issues_of_file(found.issues)]
        issue_count = len(form.issues) + found.issue_count
        if form.values.get("dry_run"):
            return _dry_run(table, found, issues, issue_count)
        if issues:
            raise InvalidUpload(issues, issue_count)
        accept = partial(_accept, form, table, found)
        # For a fetched table, the key was claimed before.
        return accept(claim) if form.csv_url else answer_once(stream, form.values, accept)


def _dry_run(
    table: Table, found: Validation, issues: list[RequestIssue], issue_count: int
) -> Response:
    return jsonify(
        DryRunSchema().dump(
            {
                "message": WITH_ISSUES if issues else NO_ISSUES,
                "total_rows": found.total_rows,
                "total_images": found.total_images,
                **_reading(table, found),
                "preview": read_preview(table.csv, found.layout) if found.layout else None,
                "errors": issues[:ISSUES_SHOWN],
                "error_count": issue_count,
            }
        )
    )


def _reading(table: Table, found: Validation) -> dict[str, Any]:
    """Return how the file was read, for the answer."""
    layout = found.layout if found.layout and found.layout.chosen else None
    kept = kept_layout(layout) if layout else {}
    schema = IssueSchema(many=True)
    return {
        "layout": kept.get("layout"),
        "columns": kept.get("columns"),
        "skipped_rows": found.skipped_rows,
        "download_format": (table.ending or ".csv").removeprefix("."),
        "warnings": schema.dump(issues_of_file(found.warnings)),
    }


def _accept(
    form: UploadForm,
    table: Table,
    found: Validation,
    claim: KeyClaim | None,
) -> Answer:
    owner = current_owner()
    job = NewJob(
        # Ids ascend, so that the rows of the newest job go to the end of each index that begins
        # with the id.
        request_id=UUID(time_ordered_ids(1)[0]),
        source_filename=form.filename,
        options=form.options,
        base_url=base_url(),
        total_rows=found.total_rows,
        total_images=found.total_images,
        reading=kept_reading(
            table, found, form.values["output"], form.values.get("output_columns")
        ),
        owner=owner,
        webhook_url=form.values.get("webhook_url"),
        webhook_secret=form.values.get("webhook_secret"),
        email=form.values.get("email"),
        **comparison_of(form.values, form.options),
    )
    bind(request_id=job.request_id)
    status_url = job_url(job.base_url, "status", job.request_id)
    body = {
        "request_id": str(job.request_id),
        "status": JobStatus.PENDING,
        "message": ACCEPTED,
        "total_rows": job.total_rows,
        "total_images": job.total_images,
        "status_url": status_url,
        **_reading(table, found),
    }
    # These are checked, and written, in one transaction with the job.
    conditions: list[Condition] = []
    if owner is not None:
        most = current_settings().max_active_jobs
        conditions.append(partial(check_quota, owner=owner, most=most))
    if claim is not None:
        conditions.append(partial(keep_answer, claim=claim, answer=body))
    # If the ledger is unavailable, or the quota reached, there is no reason to store the file.
    check_job_quota(owner, current_settings().max_active_jobs)
    take_in(
        current_settings(),
        current_extension("storage"),
        job,
        table,
        found,
        conditions=conditions,
    )
    record(
        UPLOAD,
        job.request_id,
        time.monotonic() - g.call_began,
        rows=job.total_rows,
        images=job.total_images,
    )
    publish_slices(job.request_id)
    return body, 202, {"Location": status_url}
