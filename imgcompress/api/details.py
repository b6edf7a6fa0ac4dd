"""GET /job/details: the images of a job, page by page."""

from __future__ import annotations

from typing import Any

from ..ledger import queries
from .blueprint import JOB_ID, Blueprint
from .job import find_job
from .pages import Page
from .report import count_images, image_report
from .schemas.details import DetailsQuery, DetailsSchema

blueprint = Blueprint("details", __name__, url_prefix="/job",
                      description="See the result of every image.")


@blueprint.route("/details/<request_id>", parameters=[JOB_ID])
@blueprint.doc(operationId="getDetails")
@blueprint.arguments(DetailsQuery, location="query")
@blueprint.response(200, DetailsSchema)
@blueprint.problems(400, 404, 503)
def details(query: dict[str, Any], request_id: str) -> Any:
    """List a job's images

    In the order of the CSV. Follow `next` to read all of them, even while the job runs.
    """
    job = find_job(request_id)
    page = Page.of(query)
    status = query.get("status")
    found = queries.list_images(job.request_id, status=status, after=query.get("after"),
                                skip=page.skip, limit=page.limit)
    images = page.cut(found)
    last = {"after": images[-1].ordinal} if status and images else {}
    return {"request_id": job.request_id, "total": count_images(job, status),
            **page.links(len(found), **last), "images": list(map(image_report, images))}
