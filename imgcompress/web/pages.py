"""The two pages. They hold no data: their scripts ask the HTTP interface for it."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request, url_for

from ..api.context import parse_id
from ..api.errors import PROBLEM_TYPE, UnknownHost, answer_error
from ..errors import IMAGE_ERRORS
from ..extensions import current_settings
from ..options import EFFORTS, FORMATS, MAX_SIDE
from .blueprint import blueprint
from .session import cookie_name

# Nothing from elsewhere, nothing inline: what a CSV says can never run as a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{images};"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The slider of a job shows the original, which is at its own host, as an image and nothing else.
IMAGES_FROM_ANYWHERE = " https: http:"


@blueprint.get("/")
def home() -> Response:
    """Show the page that uploads a CSV and lists the recent jobs."""
    settings = current_settings()
    return _page(
        "home",
        formats=FORMATS,
        efforts=EFFORTS,
        effort=settings.effort,
        max_side=MAX_SIDE,
        percentage=settings.compression_percentage,
        mail=settings.smtp_server is not None,
        max_mebibytes=settings.max_upload_bytes / 2**20,
        max_images=settings.max_images_per_job,
    )


@blueprint.get("/jobs", strict_slashes=False, defaults={"request_id": ""})
@blueprint.get("/jobs/<request_id>", strict_slashes=False)
def job(request_id: str) -> Response:
    """Show the page of a job; what is no id at all is told as a page, too."""
    if parse_id(request_id) is None:
        page = _page("lost")
        page.status_code = 404
        return page
    return _page(
        "job",
        images=IMAGES_FROM_ANYWHERE,
        request_id=request_id.lower(),
        faults=IMAGE_ERRORS.values(),
    )


@blueprint.app_errorhandler(UnknownHost)
def _tell_unknown_host(error: UnknownHost) -> Response:
    """Tell people as a page, wherever they wanted to go, and programs as all else."""
    answer = answer_error(error)
    if request.accept_mimetypes.best_match([PROBLEM_TYPE, "text/html"]) == "text/html":
        answer.data = render_template("web/unknown_host.html", advice=error.message)
        answer.mimetype = "text/html"
    return answer


def _page(name: str, *, images: str = "", **values: Any) -> Response:
    values |= {
        "public_base_url": current_settings().public_base_url or "",
        "has_key": cookie_name() in request.cookies,
    }
    page = Response(render_template(f"web/{name}.html", **values))
    page.headers["Content-Security-Policy"] = POLICY.format(images=images)
    page.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return page


@blueprint.context_processor
def _assets() -> dict[str, Any]:
    return {"asset": lambda name: url_for("web.static", filename=name)}
