"""DELETE /job: jobs, their rows and their files."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import wraps
from typing import Any

from flask import request

from ..errors import ImgcompressError
from ..ledger.deletion import Purge, purge_job, soft_delete, soft_delete_all
from ..storage import JobFiles
from .auth import current_owner
from .context import current_storage
from .errors import JobNotFound, NotAllConfirmed
from .jobs import find_job
from .openapi import JOB_ID, Blueprint, View
from .schemas import DeleteAllQuery, DeletedSchema

log = logging.getLogger(__name__)
blueprint = Blueprint("deletion", __name__, url_prefix="/job", description="Delete jobs.")

# Recovery does the rest: a caller need not wait for the deletion of a million rows.
ERASE_SECONDS = 5.0
IMAGES_ERASED_AT_ONCE = 20_000
# A URL that ends in a slash often lacks its id by mistake: here it is an error.
EXACT: dict[str, Any] = {"methods": ["DELETE"], "strict_slashes": True, "merge_slashes": False}


def confirmed(view: View) -> View:
    """Require that the query contains exactly `all=true`."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if request.args.getlist("all") != ["true"]:
            raise NotAllConfirmed()
        return view(*args, **kwargs)

    return wrapper


@blueprint.route("/<request_id>", parameters=[JOB_ID], **EXACT)
@blueprint.doc(operationId="deleteJob")
@blueprint.response(204)
@blueprint.problems(404, 503)
def delete(request_id: str) -> Any:
    """Delete a job

    Its images, its CSV and its deliveries are deleted too. A running job is cancelled first. The
    job disappears at once; the last files of a very large job are removed within minutes.
    """
    job = find_job(request_id)
    erasure = soft_delete(job.request_id, current_owner())
    if erasure is None:
        raise JobNotFound()
    if job.total_images <= IMAGES_ERASED_AT_ONCE:
        _erase([erasure])


@blueprint.route("", **EXACT)
@confirmed
@blueprint.arguments(DeleteAllQuery, location="query")
@blueprint.doc(operationId="deleteJobs")
@blueprint.response(200, DeletedSchema)
@blueprint.problems(400, 503)
def delete_all(_query: dict[str, Any]) -> Any:
    """Delete all jobs

    Every job of the API key in use, or every job if no keys are required. Nothing is deleted
    without `all=true`.
    """
    marked = soft_delete_all(current_owner())
    _erase(marked)
    return {"deleted_jobs": len(marked)}


def _erase(erasures: Sequence[Purge]) -> None:
    """Purge deleted jobs as far as time allows; recovery purges the rest later."""
    files = JobFiles(current_storage())
    end = time.monotonic() + ERASE_SECONDS
    try:
        for erasure in erasures:
            if time.monotonic() > end:
                return
            purge_job(erasure, files)
    except ImgcompressError as error:
        log.warning("Recovery will erase deleted jobs: %s", error)
