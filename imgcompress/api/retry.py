"""POST /job/retry: try the failed images of a job again."""

from __future__ import annotations

from typing import Any

from ..ledger.retry import retry_job
from ..tasks.publish import publish_due_deliveries, publish_slices
from .blueprint import JOB_ID, Blueprint
from .errors import JobRunning
from .job import find_job, report_of
from .refusals import NothingToRetry
from .report import is_active
from .schemas.job import RetryQuery, StatusSchema

blueprint = Blueprint("retry", __name__, url_prefix="/job", description="Retry failed images.")

STILL_RUNNING = "The job is still running. Retry it after it has ended, or cancel it first."


@blueprint.route("/retry/<request_id>", methods=["POST"], parameters=[JOB_ID])
@blueprint.doc(operationId="retryJob")
@blueprint.arguments(RetryQuery, location="query")
@blueprint.response(202, StatusSchema)
@blueprint.problems(400, 404, 409, 503)
def retry(query: dict[str, Any], request_id: str) -> Any:
    """Retry a job's failed images

    With `codes`, only images that failed with one of these codes. Compressed images are kept; the
    job keeps its id and reports its changes of status again. A cancelled job also resumes.
    """
    job = find_job(request_id)
    if not retry_job(job.request_id, query["codes"]):
        raise (JobRunning(STILL_RUNNING) if is_active(find_job(request_id))
               else NothingToRetry())
    publish_slices(job.request_id)
    publish_due_deliveries()
    return report_of(find_job(request_id))
