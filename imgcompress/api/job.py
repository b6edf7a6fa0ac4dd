"""The calls about jobs: their list, a job's status, and its end by the caller's will."""

from __future__ import annotations

from typing import Any

from ..ledger import queries
from ..ledger.delivery_log import last_delivery
from ..ledger.jobs import cancel_job
from ..ledger.models import JobRequest
from ..ledger.states import JobStatus
from ..tasks.publish import publish_due_deliveries
from .auth import current_owner
from .blueprint import JOB_ID, Blueprint
from .conditional import conditional
from .errors import JobEnded, JobNotFound
from .ids import parse_id
from .pages import Page
from .report import job_report, status_report
from .schemas.job import JobListQuery, JobListSchema, StatusQuery, StatusSchema
from .waiting import waiting

blueprint = Blueprint("job", __name__, url_prefix="/job", description="Follow and cancel jobs.")


def find_job(text: str) -> JobRequest:
    """Return the job whose id a caller wrote. Raise JobNotFound, also for a job of another key."""
    request_id = parse_id(text)
    job = queries.find_job(request_id, current_owner()) if request_id else None
    if job is None:
        raise JobNotFound()
    return job


@blueprint.route("")
@blueprint.doc(operationId="listJobs")
@blueprint.arguments(JobListQuery, location="query")
@blueprint.response(200, JobListSchema)
@blueprint.problems(400, 503)
def list_jobs(query: dict[str, Any]) -> Any:
    """List jobs

    Newest first.
    """
    page = Page.of(query)
    jobs = queries.list_jobs(owner=current_owner(), status=query.get("status"), skip=page.skip,
                             limit=page.limit)
    return {**page.links(len(jobs)), "jobs": list(map(job_report, page.cut(jobs)))}


@blueprint.route("/status/<request_id>", parameters=[JOB_ID])
@blueprint.arguments(StatusQuery, location="query")
@waiting
@conditional
@blueprint.doc(operationId="getStatus")
@blueprint.response(200, StatusSchema)
@blueprint.alt_response(304, description="Nothing has changed since the ETag in If-None-Match.")
@blueprint.problems(400, 404, 503)
def status(request_id: str) -> Any:
    """Get a job's status

    Poll with the ETag of the last response in If-None-Match: unchanged polls return 304. Or use
    `wait` to hold the response until something changes.
    """
    return report_of(find_job(request_id))


@blueprint.route("/cancel/<request_id>", methods=["POST"], parameters=[JOB_ID])
@blueprint.doc(operationId="cancelJob")
@blueprint.response(200, StatusSchema)
@blueprint.problems(404, 409, 503)
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
    """Return what a job's status tells."""
    failures = queries.failures_of(job.request_id) if job.failed_images else ()
    told = job.webhook_url is not None or job.email is not None
    return status_report(job, failures, last_delivery(job.request_id) if told else None)
