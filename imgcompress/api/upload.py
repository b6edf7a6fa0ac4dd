"""POST /upload: take a CSV, and make a job of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from uuid import UUID

from flask import Response, jsonify

from ..catalogue import (
    BadCatalogue,
    CatalogueLimits,
    Survey,
    kept_layout,
    opened_table,
    read_images,
    survey,
)
from ..errors import LedgerUnavailable
from ..extensions import current_settings
from ..ledger.idempotency import KeyClaim, keep_answer
from ..ledger.ids import time_ordered_ids
from ..ledger.intake import Condition, NewJob, create_job
from ..ledger.quotas import check_quota, check_room
from ..ledger.states import JobStatus
from ..links import job_url
from ..logs import bind
from ..storage import csv_key
from ..tasks.publish import publish_slices
from .auth import current_owner
from .blueprint import Blueprint
from .context import base_url, current_storage, refusal_of
from .document import links_to
from .errors import InvalidUpload
from .faults import FAULTS_TOLD, RequestFault, faults_of_file
from .idempotency import PARAMETER, Answer, answer_once
from .schemas.problem import FaultSchema
from .schemas.upload import AcceptedSchema, DryRunSchema, UploadSchema
from .table_url import with_table
from .upload_form import UploadForm, read_form

blueprint = Blueprint("upload", __name__, description="Upload a CSV of image URLs.")

ACCEPTED = "Upload accepted. Poll status_url for progress."
FAULTLESS = "No issues found. Nothing was stored; upload the file without dry_run to start the job."
FAULTY = ("The upload cannot be accepted as it is. Nothing was stored; fix the issues listed in"
          " errors.")
LOCATION = {"Location": {"description": "The address of the job's status.",
                         "schema": {"type": "string", "format": "uri"}}}
NEXT = links_to("getStatus", "getDetails", "downloadCsv", "downloadArchive", "getWebhooks",
                "redeliverWebhook", "cancelJob", "retryJob", "deleteJob")


@blueprint.route("/upload", methods=["POST"], any_query=True)
@blueprint.doc(operationId="upload", parameters=[PARAMETER], responses={202: {"links": NEXT}},
               requestBody={"required": True,
                            "content": {"multipart/form-data": {"schema": UploadSchema}}})
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
    if form.csv_url is None or form.faults or form.values.get("dry_run"):
        return _upload(form)
    check_room(current_owner(), current_settings().max_active_jobs)
    return answer_once(None, form.values, partial(_upload, form))


def _upload(form: UploadForm, claim: KeyClaim | None = None) -> Any:
    with with_table(form) as complete:
        return _take(complete, claim)


def _take(form: UploadForm, claim: KeyClaim | None) -> Any:
    if form.file is None:
        raise InvalidUpload(form.faults)
    limits = CatalogueLimits(max_images=current_settings().max_images_per_job)
    stream = cast("BinaryIO", form.file.stream)
    with ExitStack() as opened:
        try:
            table = opened.enter_context(opened_table(
                stream, limits, current_settings().max_upload_bytes, form.values.get("sheet")))
        except BadCatalogue as bad:
            table, found = stream, Survey(0, 0, (bad.fault,), 1)
        else:
            found = survey(table, limits, refusal_of, form.wishes)
        return _answer(form, stream, table, found, limits, claim)


def _answer(form: UploadForm, stream: BinaryIO, table: BinaryIO, found: Survey,
            limits: CatalogueLimits, claim: KeyClaim | None) -> Any:
    faults = [*form.faults, *faults_of_file(found.faults)]
    fault_count = len(form.faults) + found.fault_count
    if form.values.get("dry_run"):
        return _dry_run(found, faults, fault_count)
    if faults:
        raise InvalidUpload(faults, fault_count)
    accept = partial(_accept, form, table, found, limits)
    # For a table that was fetched, the key was claimed before.
    return accept(claim) if form.csv_url else answer_once(stream, form.values, accept)


def _dry_run(found: Survey, faults: list[RequestFault], fault_count: int) -> Response:
    return jsonify(DryRunSchema().dump({
        "message": FAULTY if faults else FAULTLESS, "total_rows": found.total_rows,
        "total_images": found.total_images, **_reading(found), "errors": faults[:FAULTS_TOLD],
        "error_count": fault_count}))


def _reading(found: Survey) -> dict[str, Any]:
    """Return what the answer tells of how the file was read."""
    layout = found.layout if found.layout and found.layout.chosen else None
    kept = kept_layout(layout) if layout else {}
    schema = FaultSchema(many=True)
    return {"layout": kept.get("layout"), "columns": kept.get("columns"),
            "warnings": schema.dump(faults_of_file(found.warnings))}


def _accept(form: UploadForm, stream: BinaryIO, found: Survey, limits: CatalogueLimits,
            claim: KeyClaim | None) -> Answer:
    owner = current_owner()
    job = NewJob(
        # The rows of the newest job go to the end of each index that begins with its id.
        request_id=UUID(time_ordered_ids(1)[0]),
        source_filename=form.filename, options=form.options,
        base_url=base_url(), total_rows=found.total_rows, total_images=found.total_images,
        reading=kept_layout(found.layout) if found.layout else None,
        owner=owner, webhook_url=form.values.get("webhook_url"),
        webhook_secret=form.values.get("webhook_secret"), email=form.values.get("email"))
    bind(request_id=job.request_id)
    status_url = job_url(job.base_url, "status", job.request_id)
    body = {"request_id": str(job.request_id), "status": JobStatus.PENDING, "message": ACCEPTED,
            "total_rows": job.total_rows, "total_images": job.total_images,
            "status_url": status_url, **_reading(found)}
    # With the ledger away, or no room for one more job, there is no reason to store the file.
    check_room(owner, current_settings().max_active_jobs)
    with _stored(job.request_id, stream):
        create_job(job, read_images(stream, limits, found.layout),
                   slice_size=current_settings().slice_size,
                   conditions=_conditions(owner, claim, body))
    publish_slices(job.request_id)
    return body, 202, {"Location": status_url}


def _conditions(owner: str | None, claim: KeyClaim | None, body: dict[str, Any]) -> list[Condition]:
    """Return what must hold when the job is written, and is written with it."""
    conditions: list[Condition] = []
    if owner is not None:
        most = current_settings().max_active_jobs
        conditions.append(partial(check_quota, owner=owner, most=most))
    if claim is not None:
        conditions.append(partial(keep_answer, claim=claim, answer=body))
    return conditions


@contextmanager
def _stored(request_id: UUID, stream: BinaryIO) -> Iterator[None]:
    """Store the CSV, and take it away again if what follows fails.

    A database that went away may have committed the job before, so then the CSV stays.
    """
    storage = current_storage()
    key = csv_key(request_id)
    stream.seek(0)
    storage.copy_from(key, stream)
    try:
        yield
    except LedgerUnavailable:
        raise
    except BaseException:
        storage.delete_folder(str(PurePosixPath(key).parent))
        raise
