"""GET /job/download: the caller's own CSV with the new URLs beside the old ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import Any, BinaryIO
from uuid import UUID

from flask import Response, stream_with_context

from ..catalogue import ImageFailure, write_catalogue, write_errors
from ..file_names import output_name
from ..ledger import queries
from ..ledger.models import JobRequest
from ..links import signed_url
from ..storage import csv_key
from .blueprint import JOB_ID, Blueprint
from .context import current_storage
from .errors import JobRunning
from .headers import attach
from .job import find_job
from .report import is_active
from .schemas.job import DELIMITERS, DownloadQuery

blueprint = Blueprint("download", __name__, url_prefix="/job",
                      description="Download the output CSV.")


@blueprint.route("/download/<request_id>", parameters=[JOB_ID])
@blueprint.doc(operationId="downloadCsv")
@blueprint.arguments(DownloadQuery, location="query")
@blueprint.response(200, {"type": "string"}, content_type="text/csv")
@blueprint.problems(400, 404, 409, 503)
def download(query: dict[str, Any], request_id: str) -> Any:
    """Download the output CSV

    The uploaded columns, followed by `Output Image Urls` and `Image Errors`. The delimiter is that
    of the upload, unless `delimiter` sets another one. With `errors=true`, a CSV of the images that
    failed, with the columns `Row`, `Column`, `URL`, `Code` and `Message`.
    """
    job = find_job(request_id)
    if is_active(job) and not query["partial"]:
        raise JobRunning()
    delimiter = DELIMITERS.get(query["delimiter"])
    if query["errors"]:
        response = _stream(job, partial(_errors, job, delimiter))
        return attach(response, output_name(job.source_filename, "-errors.csv"))
    response = _stream(job, partial(_output, job, delimiter))
    return attach(response, output_name(job.source_filename, "-compressed.csv"))


def _output(job: JobRequest, delimiter: str | None, source: BinaryIO) -> Iterator[bytes]:
    return write_catalogue(source, queries.outcomes(job.request_id, signed_url), delimiter,
                           job.reading)


def _errors(job: JobRequest, delimiter: str | None, source: BinaryIO) -> Iterator[bytes]:
    return write_errors(source, _failures(job.request_id), delimiter, job.reading)


def _stream(job: JobRequest, write: Callable[[BinaryIO], Iterator[bytes]]) -> Response:
    with ExitStack() as opened:
        source = opened.enter_context(current_storage().open(csv_key(job.request_id)))
        chunks = write(source)
        # A fault at the start can still be told as a problem; a later one breaks the answer off.
        first = next(chunks)
        response = Response(stream_with_context(chain((first,), chunks)),
                            content_type="text/csv; charset=utf-8")
        response.call_on_close(opened.pop_all().close)
    return response


def _failures(request_id: UUID) -> Iterator[ImageFailure]:
    for outcome in queries.outcomes(request_id, signed_url):
        if outcome.error_code:
            yield ImageFailure(outcome.row_number, outcome.position, outcome.error_code,
                               outcome.error_message or "")
