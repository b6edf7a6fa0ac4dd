"""Follow, list, cancel, retry and delete jobs, and read their images."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Response, current_app, request

from ..errors import IMAGE_ERRORS, ImgcompressError
from ..extensions import current_extension
from ..ledger import queries
from ..ledger.changes import list_removed
from ..ledger.deletion import Purge, purge_job, soft_delete, soft_delete_all
from ..ledger.jobs import cancel_job, retry_job
from ..ledger.models import ImageStatus, JobRequest, JobStatus
from ..ledger.queries import ImageFilter, Progress, last_delivery, progress_of
from ..links import parse_id
from ..storage import JobFiles
from ..worker.queue import publish_due_deliveries, publish_slices
from .errors import (
    JobEnded,
    JobNotFound,
    JobRunning,
    NotAllConfirmed,
    NothingToRetry,
    RetryCannotHelp,
)
from .image_reports import REMOVED, DetailsQuery, DetailsSchema, count_images, image_report
from .job_reports import (
    MAX_WAIT_SECONDS,
    DeleteAllQuery,
    DeletedSchema,
    JobListQuery,
    JobListSchema,
    RetryQuery,
    StatusQuery,
    StatusSchema,
    is_active,
    job_report,
    status_report,
)
from .middleware import conditional, current_owner
from .openapi import JOB_ID, Blueprint, View
from .paging import Page

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Place:
    """The place of a request that waits for a change; once `lost`, another request has it."""

    owner: str
    job: str
    lost: bool = False


class Places:
    """The places for waiting requests in one process.

    When all are taken, a new request gets one from the owner with the most, if that owner keeps at
    least as many as the new request's owner. It is the longest-held place of that owner's job with
    the most. If no owner has too many, the same applies among the jobs of the new request's owner.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        # Oldest first.
        self._taken: list[Place] = []

    @contextmanager
    def taken(self, owner: str, job: str) -> Iterator[Place | None]:
        """Hold a place, or None if none is available."""
        place = Place(owner, job)
        with self._lock:
            has_place = len(self._taken) < self.most or self._make_room(place)
            if has_place:
                self._taken.append(place)
        try:
            yield place if has_place else None
        finally:
            with self._lock:
                if place in self._taken:
                    self._taken.remove(place)

    def _make_room(self, newcomer: Place) -> bool:
        """Take a place from the owner or job with too many; return whether there was one."""
        owners = Counter(place.owner for place in self._taken)
        owner = _with_too_many(owners, newcomer.owner)
        others = owner is not None
        jobs = Counter(
            place.job
            for place in self._taken
            if place.owner == (owner if others else newcomer.owner)
        )
        job = max(jobs, key=jobs.__getitem__) if others else _with_too_many(jobs, newcomer.job)
        if job is None:
            return False
        loser = next(place for place in self._taken if place.job == job)
        loser.lost = True
        self._taken.remove(loser)
        return True


def _with_too_many(places: Counter[str], own: str) -> str | None:
    """Return the holder of the most places, if it can give one up and keep at least as many."""
    most = max(places, key=places.__getitem__, default=None)
    return most if most is not None and places[most] - 1 >= places[own] + 1 else None


POLL_SECONDS = 0.5
# Each waiting request queries the ledger twice a second. Most of the web server's threads stay
# free.
MAX_WAITERS = 32
_places = Places(MAX_WAITERS)


def waiting(view: Callable[[str], Response]) -> Callable[[dict[str, Any], str], Response]:
    """Hold the answer for up to `wait` seconds while the job's status and percentage are unchanged.

    With `wait_for=end`, hold it while the job has not ended. Otherwise a caller whose If-None-Match
    no longer matches is answered at once; so is a caller without a place to wait, or that loses its
    place to another owner.
    """

    @wraps(view)
    def wrapper(query: dict[str, Any], request_id: str) -> Response:
        for_end = query["wait_for"] == "end"
        seconds = query.get("wait", MAX_WAIT_SECONDS if for_end else 0)
        if not seconds:
            return view(request_id)
        seen = _progress(request_id)
        answer = view(request_id)
        is_news = bool(request.if_none_match) and answer.status_code != 304
        if (is_news and not for_end) or seen is None or seen.ended:
            return answer

        def waits() -> bool:
            now = _progress(request_id)
            return now is not None and not now.ended if for_end else now == seen

        return view(request_id) if _wait(request_id, waits, seconds) else answer

    return wrapper


def _wait(request_id: str, waits: Callable[[], bool], seconds: float) -> bool:
    """Wait while `waits` returns True; return False if there was no place to wait.

    No transaction is open while waiting.
    """
    with _places.taken(current_owner() or "", request_id) as place:
        if place is None:
            return False
        end = time.monotonic() + seconds
        # Returns False once the web server stops; gunicorn's configuration sets the function.
        serving: Callable[[], bool] = current_app.extensions.get("serving", lambda: True)
        while waits() and serving() and not place.lost and time.monotonic() < end:
            time.sleep(min(POLL_SECONDS, max(0.0, end - time.monotonic())))
        return True


def _progress(request_id: str) -> Progress | None:
    parsed = parse_id(request_id)
    return progress_of(parsed) if parsed else None


jobs_blueprint = Blueprint(
    "job", __name__, url_prefix="/job", description="Follow and cancel jobs."
)


def find_job(text: str) -> JobRequest:
    """Return the job with this id. Raise JobNotFound, also for a job of another key."""
    request_id = parse_id(text)
    job = queries.find_job(request_id, current_owner()) if request_id else None
    if job is None:
        raise JobNotFound()
    return job


@jobs_blueprint.route("")
@jobs_blueprint.doc(operationId="listJobs")
@jobs_blueprint.arguments(JobListQuery, location="query")
@jobs_blueprint.response(200, JobListSchema)
@jobs_blueprint.problems(400, 503)
def list_jobs(query: dict[str, Any]) -> Any:
    """List jobs

    Newest first.
    """
    page = Page.of(query)
    jobs = queries.list_jobs(
        owner=current_owner(),
        status=query.get("status"),
        search=query.get("search"),
        skip=page.skip,
        limit=page.limit,
    )
    return {
        **page.links(more=len(jobs) > page.size),
        "jobs": list(map(job_report, page.cut(jobs))),
    }


@jobs_blueprint.route("/status/<request_id>", parameters=[JOB_ID])
@jobs_blueprint.arguments(StatusQuery, location="query")
@waiting
@conditional
@jobs_blueprint.doc(operationId="getStatus")
@jobs_blueprint.response(200, StatusSchema)
@jobs_blueprint.alt_response(
    304, description="Nothing has changed since the ETag in If-None-Match."
)
@jobs_blueprint.problems(400, 404, 503)
def status(request_id: str) -> Any:
    """Get a job's status

    Poll with the ETag of the last response in If-None-Match: unchanged polls return 304. Or use
    `wait` to hold the response until something changes, `wait_for=end` until the job has ended.
    """
    return report_of(find_job(request_id))


@jobs_blueprint.route("/cancel/<request_id>", methods=["POST"], parameters=[JOB_ID])
@jobs_blueprint.doc(operationId="cancelJob")
@jobs_blueprint.response(200, StatusSchema)
@jobs_blueprint.problems(404, 409, 503)
def cancel(request_id: str) -> Any:
    """Cancel a job

    Finished images are kept; nothing is written to the job afterwards. Cancelling a cancelled job
    changes nothing.
    """
    job = find_job(request_id)
    if cancel_job(job.request_id):
        publish_due_deliveries()
    job = find_job(request_id)
    if job.status != JobStatus.CANCELLED:
        raise JobEnded()
    return report_of(job)


def report_of(job: JobRequest) -> dict[str, Any]:
    """Return the status of a job for callers."""
    failures = queries.failures_of(job.request_id) if job.failed_images else ()
    notifies = job.webhook_url is not None or job.email is not None
    scores = queries.scores_of(job.request_id) if job.completed_images else ()
    delivery = last_delivery(job.request_id) if notifies else None
    return status_report(job, failures, scores, delivery)


details_blueprint = Blueprint(
    "details", __name__, url_prefix="/job", description="See the result of every image."
)


@details_blueprint.route("/details/<request_id>", parameters=[JOB_ID])
@details_blueprint.doc(operationId="getDetails")
@details_blueprint.arguments(DetailsQuery, location="query")
@details_blueprint.response(200, DetailsSchema)
@details_blueprint.problems(400, 404, 503)
def details(query: dict[str, Any], request_id: str) -> Any:
    """List a job's images

    In the order of the CSV, unless `sort` says otherwise. Follow `next` to read all of them, even
    while the job runs. With `code`, `host`, `found`, `outcome` or `change`, a page may have fewer
    images than `per_page`, or none, although there are more: up to 20,000 images are looked at for
    it.
    """
    job = find_job(request_id)
    page = Page.of(query)
    wanted = _filter_of(query)
    place: dict[str, Any] = {"after": query.get("after"), "skip": page.skip, "size": page.size}
    if query.get("change") == REMOVED:
        removed, after = list_removed(job, **place)
        return {
            "request_id": job.request_id,
            "total": job.removed_images or 0,
            **page.links(more=after is not None, counted=False, after=after),
            "images": [image_report(image) | {"change": REMOVED} for image in removed],
        }
    if "sort" in query:
        images, after = queries.list_largest(job.request_id, query["sort"], **place)
    else:
        images, after = queries.list_images(job.request_id, wanted, **place)
    last = {} if wanted == queries.ANY_IMAGE else {"after": after}
    return {
        "request_id": job.request_id,
        "total": count_images(job, wanted),
        **page.links(more=after is not None, counted=not wanted.looks_through, **last),
        "images": list(map(image_report, images)),
    }


def _filter_of(query: dict[str, Any]) -> ImageFilter:
    """Return the filter of a query; a property that only some images have implies a status."""
    group = {name: query.get(name) for name in ("code", "host", "found")}
    implied = None
    if any(group.values()):
        implied = ImageStatus.FAILED
    elif {"outcome", "change", "sort"} & query.keys():
        implied = ImageStatus.COMPLETED
    return ImageFilter(
        query.get("status", implied),
        outcome=query.get("outcome"),
        change=query.get("change"),
        **group,
    )


retry_blueprint = Blueprint(
    "retry", __name__, url_prefix="/job", description="Retry failed images."
)

STILL_RUNNING = "The job is still running. Retry it after it has ended, or cancel it first."


@retry_blueprint.route("/retry/<request_id>", methods=["POST"], parameters=[JOB_ID])
@retry_blueprint.doc(operationId="retryJob")
@retry_blueprint.arguments(RetryQuery, location="query")
@retry_blueprint.response(202, StatusSchema)
@retry_blueprint.problems(400, 404, 409, 503)
def retry(query: dict[str, Any], request_id: str) -> Any:
    """Retry a job's failed images

    With `codes`, only images that failed with one of these codes; with `code`, `host` and `found`,
    only those of one entry in `errors` of the status. If the images of a code need other URLs in
    the catalogue, a retry of that code is rejected. Compressed images are kept; the job keeps its
    id and reports its changes of status again. A cancelled job also resumes.
    """
    job = find_job(request_id)
    code = query.get("code")
    if code is not None and IMAGE_ERRORS[code].needs_other_url:
        raise RetryCannotHelp(IMAGE_ERRORS[code].advice)
    group = ImageFilter(code=code, host=query.get("host"), found=query.get("found"))
    if not retry_job(job.request_id, query["codes"], group):
        raise (JobRunning(STILL_RUNNING) if is_active(find_job(request_id)) else NothingToRetry())
    publish_slices(job.request_id)
    publish_due_deliveries()
    return report_of(find_job(request_id))


deletion_blueprint = Blueprint("deletion", __name__, url_prefix="/job", description="Delete jobs.")

# Recovery does the rest, so that a caller need not wait for the deletion of a million rows.
ERASE_SECONDS = 5.0
IMAGES_ERASED_AT_ONCE = 20_000
# A URL that ends in a slash often lacks its id by mistake, so here it is an error.
EXACT: dict[str, Any] = {"methods": ["DELETE"], "strict_slashes": True, "merge_slashes": False}


def confirmed(view: View) -> View:
    """Require that the query contains exactly `all=true`."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if request.args.getlist("all") != ["true"]:
            raise NotAllConfirmed()
        return view(*args, **kwargs)

    return wrapper


@deletion_blueprint.route("/<request_id>", parameters=[JOB_ID], **EXACT)
@deletion_blueprint.doc(operationId="deleteJob")
@deletion_blueprint.response(204)
@deletion_blueprint.problems(404, 503)
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


@deletion_blueprint.route("", **EXACT)
@confirmed
@deletion_blueprint.arguments(DeleteAllQuery, location="query")
@deletion_blueprint.doc(operationId="deleteJobs")
@deletion_blueprint.response(200, DeletedSchema)
@deletion_blueprint.problems(400, 503)
def delete_all(_query: dict[str, Any]) -> Any:
    """Delete all jobs

    Every job of the API key in use, or every job if no keys are required. Nothing is deleted
    without `all=true`.
    """
    marked = soft_delete_all(current_owner())
    _erase(marked)
    return {"deleted_jobs": len(marked)}


def _erase(erasures: Sequence[Purge]) -> None:
    """Purge deleted jobs until the time is up; recovery purges the rest later."""
    files = JobFiles(current_extension("storage"))
    end = time.monotonic() + ERASE_SECONDS
    try:
        for erasure in erasures:
            if time.monotonic() > end:
                return
            purge_job(erasure, files)
    except ImgcompressError as error:
        log.warning("Recovery will erase deleted jobs: %s", error)
