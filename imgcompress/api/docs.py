"""GET /docs: the interface to read and to try, from files of this service alone.

GET /openapi.json: the same for machines.
"""

from __future__ import annotations

from flask import Blueprint, Response, current_app, make_response, render_template

from .blueprint import without_query

# Where the application keeps what makes the document.
DOCUMENT = "document"

blueprint = Blueprint("docs", __name__, static_folder="static", static_url_path="/docs/static",
                      template_folder="templates")

# Icons in the style sheet are data, and images that were fetched are shown as blobs. Nothing is
# loaded from elsewhere, and nothing that stands in the page is run.
ONLY_FROM_HERE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


@blueprint.route("/openapi.json")
@without_query
def document() -> Response:
    """Return the OpenAPI document."""
    text = current_app.json.dumps(current_app.extensions[DOCUMENT](), indent=2)
    return current_app.response_class(text, mimetype="application/json")


@blueprint.route("/docs")
def docs() -> Response:
    """Show Swagger UI."""
    response = make_response(render_template("docs.html"))
    response.headers["Content-Security-Policy"] = ONLY_FROM_HERE
    return response
