"""Download the output CSV of a job, and its images as one archive."""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import chain
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, cast
from uuid import UUID
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from flask import Response, stream_with_context
from marshmallow import Schema, fields, validate

from ..csvfile import (
    CSV_TYPE,
    MEDIA_TYPES,
    OUTPUTS,
    ImageFailure,
    OutputForm,
    output_form,
    write_errors,
    write_output,
)
from ..errors import StorageNotFound
from ..extensions import current_extension
from ..file_names import output_name, safe_stem
from ..ledger import queries
from ..ledger.models import JobRequest
from ..ledger.queries import NamedImage
from ..links import signed_url
from ..storage import Storage, csv_key, workbook_key
from .errors import InvalidRequest, JobRunning, NoImages, RequestIssue
from .job_reports import is_active
from .jobs import find_job
from .middleware import attach
from .openapi import JOB_ID, Blueprint

log = logging.getLogger(__name__)
_NO_DELIMITER = RequestIssue(
    "delimiter",
    None,
    None,
    "invalid_delimiter",
    "The delimiter cannot be changed with output=replace. Leave it out, or send output=append.",
    None,
)


DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


def _partial() -> fields.Boolean:
    return fields.Boolean(
        load_default=False,
        error_messages={"invalid": "partial must be true or false."},
        metadata={"description": "While the job runs: the results so far."},
    )


class DownloadQuery(Schema):
    """The requested form of the output."""

    partial = _partial()  # type: ignore[assignment]
    delimiter = fields.String(
        load_default=None,
        validate=validate.OneOf(
            list(DELIMITERS), error=f"delimiter must be one of {', '.join(DELIMITERS)}."
        ),
        metadata={
            "description": "The delimiter of the CSV; the upload's own if left out. With a"
            " delimiter, a workbook is returned as a CSV too. Only with `append`."
        },
    )
    output = fields.String(
        load_default=None,
        validate=validate.OneOf(OUTPUTS, error="output must be append or replace."),
        metadata={
            "description": "Two added columns (`append`), or the new URLs in place of the old ones"
            " (`replace`); the upload's choice if left out."
        },
    )
    errors = fields.Boolean(
        load_default=False,
        error_messages={"invalid": "errors must be true or false."},
        metadata={"description": "A list of the failed images instead of the output CSV."},
    )
    report = fields.Boolean(
        load_default=False,
        error_messages={"invalid": "report must be true or false."},
        metadata={
            "description": "A list of all images, with the reason if one failed and its change in a"
            " job with `since`, instead of the output CSV."
        },
    )


class ArchiveQuery(Schema):
    """The requested form of the archive."""

    partial = _partial()  # type: ignore[assignment]


download_blueprint = Blueprint(
    "download", __name__, url_prefix="/job", description="Download the output CSV."
)


@download_blueprint.route("/download/<request_id>", parameters=[JOB_ID])
@download_blueprint.doc(
    operationId="downloadCsv",
    responses={
        200: {
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type in MEDIA_TYPES.values()
                if media_type != CSV_TYPE
            }
        }
    },
)
@download_blueprint.arguments(DownloadQuery, location="query")
@download_blueprint.response(200, {"type": "string"}, content_type="text/csv")
@download_blueprint.problems(400, 404, 409, 503)
def download(query: dict[str, Any], request_id: str) -> Any:
    """Download the output

    The uploaded table, as a CSV or as the workbook that it was: with the columns
    `Output Image Urls` and `Image Errors` (`output=append`), or with the new URLs in the cells of
    the old ones (`output=replace`). A job with `since` appends a column `Change` as well. With
    `errors=true`, a CSV of the images that failed and of rows that were skipped, with the columns
    `Row`, `Column`, `URL`, `Code` and `Message`. With `report=true`, the same for all images, with
    a column `Change`.
    """
    job = find_job(request_id)
    if is_active(job) and not query["partial"]:
        raise JobRunning()
    delimiter = DELIMITERS.get(query["delimiter"])
    with ExitStack() as opened:
        source = opened.enter_context(current_extension("storage").open(csv_key(job.request_id)))
        if query["errors"] or query["report"]:
            report = query["report"]
            listed = _listed(job.request_id, only_failed=not report)
            chunks = write_errors(source, listed, delimiter, job.reading, changes=report)
            ending = "-report.csv" if report else "-errors.csv"
            name, media_type = output_name(job.source_filename, ending), CSV_TYPE
        else:
            form = output_form(job.reading, query["output"], changes=job.is_compared)
            if delimiter and form.replace:
                raise InvalidRequest([_NO_DELIMITER])
            form, workbook = _workbook(job, form.as_csv() if delimiter else form, opened)
            outcomes = queries.outcomes(job.request_id, signed_url)
            chunks = write_output(form, source, workbook, outcomes, job.reading, delimiter)
            name = output_name(job.source_filename, f"-compressed{form.ending}")
            media_type = form.media_type
        # An error at the start can still be reported as a problem; a later one aborts the answer.
        first = next(chunks)
        response = Response(stream_with_context(chain((first,), chunks)), content_type=media_type)
        response.call_on_close(opened.pop_all().close)
    return attach(response, name)


def _workbook(
    job: JobRequest, form: OutputForm, opened: ExitStack
) -> tuple[OutputForm, BinaryIO | None]:
    """Open the workbook that a job was made of; without one, the output is a CSV."""
    if not form.part:
        return form, None
    try:
        return form, opened.enter_context(
            current_extension("storage").open(workbook_key(job.request_id))
        )
    except StorageNotFound:
        log.warning("The workbook of a job is not stored; its output is a CSV")
        return form.as_csv(), None


def _listed(request_id: UUID, *, only_failed: bool) -> Iterator[ImageFailure]:
    for outcome in queries.outcomes(request_id, signed_url):
        if outcome.error_code or not only_failed:
            yield ImageFailure(
                outcome.row_number,
                outcome.position,
                outcome.error_code or "",
                outcome.error_message or "",
                outcome.change or "",
            )


def archive_name(image: NamedImage) -> str:
    """Return `<product>-<row>-<place>.<extension>`.

    Row and place are numbers at the end, so that no two images of a job share a name, whatever the
    names of their products.
    """
    stem = safe_stem(image.output_name or image.product_name) or "image"
    extension = PurePosixPath(image.storage_key).suffix
    return f"{stem}-{image.row_number}-{image.position + 1}{extension}"


# The most bytes in memory that wait for the disk or the caller.
SPOOL_BYTES = 256 * 1024


class Outlet:
    """A file without seek: written data waits here until it is sent."""

    def __init__(self) -> None:
        self._written = spool()

    def write(self, data: bytes) -> int:
        """Return the data to send, and forget it."""
        return self._written.write(data)

    def flush(self) -> None:
        """Do nothing: `drain` returns the data written."""

    def drain(self) -> Iterator[bytes]:
        """Yield the data written since the last call."""
        self._written.seek(0)
        while chunk := self._written.read(SPOOL_BYTES):
            yield chunk
        self._written.seek(0)
        self._written.truncate()

    def close(self) -> None:
        """Discard the unsent data."""
        self._written.close()


class StreamedZip(ZipFile):
    """A ZIP that is written to an outlet and keeps none of its entries in memory.

    zipfile keeps about half a kilobyte per entry for the directory at the end. It uses its list of
    entries for their number and, once, for all of them in order; it keeps their names only to warn
    of duplicates, which the caller prevents.
    """

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(cast("BinaryIO", outlet), "w", ZIP_STORED)
        self.filelist = cast("list[ZipInfo]", _Entries())
        self.NameToInfo = _NoNames()

    def close(self) -> None:
        """Write the directory."""
        super().close()
        cast("_Entries", self.filelist).close()


class _Entries:
    """The entries so far, in order, in an anonymous file."""

    def __init__(self) -> None:
        self._file = spool()
        self._number = 0

    def append(self, entry: ZipInfo) -> None:
        pickle.dump(entry, self._file)
        self._number += 1

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[ZipInfo]:
        self._file.seek(0)
        for _ in range(self._number):
            yield pickle.load(self._file)

    def close(self) -> None:
        self._file.close()


class _NoNames(dict[str, ZipInfo]):
    def __setitem__(self, name: str, entry: ZipInfo) -> None:
        """Keep nothing."""


def spool() -> tempfile.SpooledTemporaryFile[bytes]:
    """Return a temporary file with at most SPOOL_BYTES in memory."""
    return tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)


archive_blueprint = Blueprint(
    "archive", __name__, url_prefix="/job", description="Download all compressed images at once."
)

CHUNK_BYTES = 256 * 1024
# Without a row and a place at its end, no image can have this name.
MISSING_IMAGES = "missing-images.txt"


@archive_blueprint.route("/archive/<request_id>", parameters=[JOB_ID])
@archive_blueprint.doc(operationId="downloadArchive")
@archive_blueprint.arguments(ArchiveQuery, location="query")
@archive_blueprint.response(
    200, {"type": "string", "format": "binary"}, content_type="application/zip"
)
@archive_blueprint.problems(400, 404, 409, 503)
def archive(query: dict[str, Any], request_id: str) -> Any:
    """Download the images as a ZIP

    Each image is named after its product, its row and its position in the row: `Rocket-2-1.jpg`.
    An image whose file is no longer stored is left out and listed in `missing-images.txt`.
    """
    job = find_job(request_id)
    if is_active(job) and not query["partial"]:
        raise JobRunning()
    if not job.completed_images:
        raise NoImages()
    chunks = _zip(
        current_extension("storage"), queries.compressed_images(job.request_id), job.updated_at
    )
    # An error at the start can still be reported as a problem; a later one aborts the answer.
    first = next(chunks)
    response = Response(
        stream_with_context(chain((first,), chunks)), content_type="application/zip"
    )
    return attach(response, output_name(job.source_filename, "-compressed.zip"))


def _zip(storage: Storage, images: Iterable[NamedImage], time: datetime) -> Iterator[bytes]:
    """Yield a ZIP of the images, stored without compression, since they do not shrink any further.

    One chunk of one image is in memory at a time, however many there are.
    """
    count = 0
    with closing(Outlet()) as outlet, spool() as missing:
        with StreamedZip(outlet) as target:
            for image in images:
                name = archive_name(image)
                try:
                    source = storage.open(image.storage_key)
                except StorageNotFound:
                    missing.write(f"{name}\r\n".encode())
                    count += 1
                    continue
                with source:
                    yield from _add(target, outlet, source, name, time)
            if count:
                log.error("%d images of an archive have no stored file", count)
                if not len(target.filelist):
                    raise StorageNotFound(detail="none of the job's images has a stored file")
                yield from _add(target, outlet, missing, MISSING_IMAGES, time)
        yield from outlet.drain()


def _add(
    target: StreamedZip, outlet: Outlet, source: IO[bytes], name: str, time: datetime
) -> Iterator[bytes]:
    entry = ZipInfo(name, time.timetuple()[:6])
    # Its size, known in advance, decides on ZIP64.
    entry.file_size = source.seek(0, os.SEEK_END)
    source.seek(0)
    with target.open(entry, "w") as member:
        while chunk := source.read(CHUNK_BYTES):
            member.write(chunk)
            yield from outlet.drain()
