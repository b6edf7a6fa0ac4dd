"""GET /docs: the interface to read and to try, from files of this service alone."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template

blueprint = Blueprint("docs", __name__, url_prefix="/docs", static_folder="static",
                      template_folder="templates")

# Icons in the style sheet are data, and images that were fetched are shown as blobs. Nothing is
# loaded from elsewhere, and nothing that stands in the page is run.
ONLY_FROM_HERE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


@blueprint.route("")
def docs() -> Response:
    """Show Swagger UI."""
    response = make_response(render_template("docs.html"))
    response.headers["Content-Security-Policy"] = ONLY_FROM_HERE
    return response
