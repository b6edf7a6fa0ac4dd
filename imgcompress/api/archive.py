"""GET /job/archive: the compressed images in one ZIP, written while it is sent."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import chain
from typing import IO, Any
from zipfile import ZipInfo

from flask import Response, stream_with_context

from ..errors import StorageNotFound
from ..file_names import output_name
from ..ledger import queries
from ..ledger.queries import NamedImage
from ..storage import Storage
from .archive_directory import Outlet, StreamedZip, spool
from .archive_names import archive_name
from .blueprint import JOB_ID, Blueprint
from .context import current_storage
from .errors import JobRunning
from .headers import attach
from .job import find_job
from .refusals import NoImages
from .report import is_active
from .schemas.job import ArchiveQuery

log = logging.getLogger(__name__)
blueprint = Blueprint("archive", __name__, url_prefix="/job",
                      description="Download all compressed images at once.")

CHUNK_BYTES = 256 * 1024
# It ends in no row and place, so no image can have this name.
MISSING_IMAGES = "missing-images.txt"


@blueprint.route("/archive/<request_id>", parameters=[JOB_ID])
@blueprint.doc(operationId="downloadArchive")
@blueprint.arguments(ArchiveQuery, location="query")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="application/zip")
@blueprint.problems(400, 404, 409, 503)
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
    chunks = _zip(current_storage(), queries.compressed_images(job.request_id), job.updated_at)
    # A fault at the start can still be told as a problem; a later one breaks the answer off.
    first = next(chunks)
    response = Response(stream_with_context(chain((first,), chunks)),
                        content_type="application/zip")
    return attach(response, output_name(job.source_filename, "-compressed.zip"))


def _zip(storage: Storage, images: Iterable[NamedImage], time: datetime) -> Iterator[bytes]:
    """Yield a ZIP of the images, stored as they are, for they do not shrink any further.

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


def _add(target: StreamedZip, outlet: Outlet, source: IO[bytes], name: str,
         time: datetime) -> Iterator[bytes]:
    entry = ZipInfo(name, time.timetuple()[:6])
    # Its size, told in advance, is what decides on ZIP64.
    entry.file_size = source.seek(0, os.SEEK_END)
    source.seek(0)
    with target.open(entry, "w") as member:
        while chunk := source.read(CHUNK_BYTES):
            member.write(chunk)
            yield from outlet.drain()
