"""The pages. They contain no data: their scripts read it from the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    jsonify,
    render_template,
    request,
    send_file,
    url_for,
)
from werkzeug.exceptions import NotFound

from ..api.errors import InvalidApiKey, JobNotFound, UnknownHost, answer_error, answer_http_error
from ..api.middleware import PAGES, cookie_name, is_encrypted, wants_page
from ..catalogue import EFFORTS, FORMATS, MAX_SIDE
from ..errors import IMAGE_ERRORS, LedgerUnavailable
from ..extensions import base_url, current_settings
from ..ledger.api_keys import owner_of
from ..ledger.models import JobStatus
from ..ledger.queries import find_job
from ..links import parse_id
from ..shipped import SAMPLE_CATALOGUE, sample_file

blueprint = Blueprint(
    "web", __name__, template_folder="templates", static_folder="static", static_url_path="/web"
)

FEEDS = "feeds.list_all"

# No external and no inline content, so that text from a CSV can never run as a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{images};"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A comparison loads the original from its own host, as an image and nothing else; a preview is a
# data URL.
IMAGES_FROM_ANYWHERE = " https: http:"
PREVIEWS = f" data:{IMAGES_FROM_ANYWHERE}"
FORMAT_NAMES = {
    "keep": "Keep each image's own",
    "auto": "Smallest for each image",
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "avif": "AVIF",
}


@blueprint.get("/")
def home() -> Response:
    """Show the page that uploads a CSV and lists the recent jobs."""
    settings = current_settings()
    return _page(
        "home",
        images=PREVIEWS,
        formats=FORMATS,
        efforts=EFFORTS,
        effort=settings.effort,
        min_score=settings.min_score,
        metadata=settings.metadata,
        max_side=MAX_SIDE,
        percentage=settings.compression_percentage,
        mail=settings.smtp_server is not None,
        max_mebibytes=settings.max_upload_bytes / 2**20,
        max_images=settings.max_images_per_job,
        sample_catalogue=url_for("web.sample", name=SAMPLE_CATALOGUE),
    )


@blueprint.get("/samples/<name>")
def sample(name: str) -> Response:
    """Send a sample photo or the sample catalogue. Their host's name does not resolve."""
    path = sample_file(name)
    if path is None:
        abort(404)
    return send_file(path)


@blueprint.get("/jobs", strict_slashes=False)
def jobs() -> Response:
    """Show the page of all jobs; redirect programs to the call that lists them."""
    if wants_page():
        return _page("jobs", states=list(JobStatus))
    query = request.query_string.decode("ascii", "replace")
    answer = jsonify({"jobs_url": f"{base_url()}/job"})
    answer.status_code = 307
    answer.headers["Location"] = "/job" + (f"?{query}" if query else "")
    return answer


@blueprint.get("/feeds/")
def feeds() -> Response:
    """Show the page of feeds; programs get a 404 here, and the list at `/feeds`."""
    if not wants_page():
        raise NotFound
    settings = current_settings()
    return _page("feeds", formats=FORMATS, percentage=settings.compression_percentage)


@blueprint.get("/jobs/<request_id>", strict_slashes=False)
def job(request_id: str) -> Response:
    """Show the page of a job, or an error page if there is no such job."""
    parsed = parse_id(request_id)
    if parsed is None or _is_unknown(parsed):
        if not wants_page():
            return answer_error(JobNotFound())
        page = _page("lost")
        page.status_code = 404
        return page
    return _page(
        "job",
        images=IMAGES_FROM_ANYWHERE,
        request_id=request_id.lower(),
        image_errors=IMAGE_ERRORS.values(),
    )


def _is_unknown(request_id: UUID) -> bool:
    """Return whether the job does not exist, and the caller may know it.

    If a key is required and missing, the page asks for it first; while the ledger is away, it waits.
    """
    try:
        owner = owner_of(request.cookies.get(cookie_name(), ""))
        if owner is None and current_settings().require_api_key:
            return False
        return find_job(request_id, owner) is None
    except LedgerUnavailable:
        return False


@blueprint.post("/session", strict_slashes=False)
def begin_session() -> Response:
    """Keep the form's key in a cookie, if it is valid."""
    key = request.form.get("key", "").strip()
    # A body without a length is only cut off at the limit; reading on then raises the error.
    request.stream.read(1)
    if owner_of(key) is None:
        return answer_error(InvalidApiKey())
    answer = Response(status=204)
    answer.set_cookie(cookie_name(), key, httponly=True, samesite="Strict", secure=is_encrypted())
    return answer


@blueprint.delete("/session", strict_slashes=False)
def end_session() -> Response:
    """Forget the key."""
    answer = Response(status=204)
    answer.delete_cookie(cookie_name(), httponly=True, samesite="Strict", secure=is_encrypted())
    return answer


@blueprint.app_errorhandler(UnknownHost)
def _show_unknown_host(error: UnknownHost) -> Response:
    """Show browsers an error page; programs get a problem."""
    answer = answer_error(error)
    if wants_page():
        answer.data = render_template("web/unknown_host.html", advice=error.message)
        answer.mimetype = "text/html"
    return answer


@blueprint.app_errorhandler(NotFound)
def _show_not_found(error: NotFound) -> Response:
    """Show people a page with links; programs get a problem that names what is missing."""
    if not wants_page():
        return answer_http_error(error)
    page = _page("not_found")
    page.status_code = 404
    return page


def _page(name: str, *, images: str = "", **values: Any) -> Response:
    values |= {
        "public_base_url": current_settings().public_base_url or "",
        "has_key": cookie_name() in request.cookies,
        "format_names": FORMAT_NAMES,
    }
    page = Response(render_template(f"web/{name}.html", **values))
    page.headers["Content-Security-Policy"] = POLICY.format(images=images)
    # At some addresses programs get something else.
    page.headers["Vary"] = "Accept"
    page.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return page


@blueprint.app_context_processor
def _assets() -> dict[str, Any]:
    return {"asset": lambda name: url_for("web.static", filename=name)}


def register_web(app: Flask) -> None:
    """Register the pages, and show people the page of feeds where programs get the list."""
    app.register_blueprint(blueprint)
    list_feeds = app.view_functions[FEEDS]

    def page_or_list() -> Any:
        return feeds() if wants_page() else list_feeds()

    app.view_functions[FEEDS] = page_or_list
    app.extensions[PAGES] = {FEEDS}
