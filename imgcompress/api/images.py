"""Serve compressed images, at links that may be signed."""

from __future__ import annotations

import os
import time
from functools import reduce
from typing import Any, BinaryIO

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

from ..extensions import current_extension, current_settings
from ..ledger import queries
from ..links import is_signed, parse_id
from ..setting_parsers import REDIRECT
from .errors import ImageLinkExpired, ImageNotFound, InvalidImageLink
from .middleware import sandbox
from .openapi import PUBLIC_CALL, Blueprint, Decorator

# No cache keeps an image for longer.
A_YEAR = 31_536_000


def check_link(name: str) -> int:
    """Return how many seconds the URL of an image may be cached; `name` is its id and kind.

    Raise InvalidImageLink and ImageLinkExpired if URLs are signed.
    """
    if not current_settings().signed_image_urls:
        return A_YEAR
    expires, signature = request.args.get("expires", ""), request.args.get("signature", "")
    if not (
        expires.isascii()
        and expires.isdigit()
        and len(expires) <= 12
        and is_signed(name, int(expires), signature)
    ):
        raise InvalidImageLink()
    left = int(expires) - int(time.time())
    if left <= 0:
        raise ImageLinkExpired()
    return min(left, A_YEAR)


# The credentials of a role are renewed ten minutes before they expire, and a link expires with
# them.
LINK_SECONDS = 600
BYTES = {"type": "string", "format": "binary"}

blueprint = Blueprint("image", __name__, description="Fetch compressed images.")


IMAGE_ID = {"in": "path", "name": "image_id", "schema": {"type": "string", "format": "uuid"}}
NAME = {
    "in": "path",
    "name": "name",
    "schema": {"type": "string"},
    "description": "The name of the source file, for people and shops. Only the id identifies"
    " the image; the name may be anything.",
}
EXTENSION = {
    "in": "path",
    "name": "extension",
    "schema": {"enum": ["jpg", "png", "webp", "avif", "gif"]},
}


def _image_call(rule: str, operation: str, *parameters: dict[str, Any]) -> Decorator:
    """Return a decorator that registers a view of an image."""
    decorators = [
        # Shops and their caches add their own parameters to the URLs of images. An empty id or name
        # is an error, and is not removed by a redirect to another URL.
        blueprint.route(rule, any_query=True, parameters=list(parameters), merge_slashes=False),
        blueprint.doc(operationId=operation, **PUBLIC_CALL),
        blueprint.response(200, BYTES, content_type="image/*"),
        blueprint.alt_response(
            206, schema=BYTES, content_type="image/*", description="The requested byte range."
        ),
        blueprint.alt_response(
            302, description="A redirect to the image in the storage, valid for a few minutes."
        ),
        blueprint.alt_response(304, description="The caller's copy of the image is current."),
        blueprint.problems(403, 404, 416, 503),
    ]
    return lambda view: reduce(lambda done, decorate: decorate(done), reversed(decorators), view)


@_image_call("/image/<image_id>/<name>.<extension>", "getImage", IMAGE_ID, NAME, EXTENSION)
def image(image_id: str, name: str, extension: str) -> Any:
    """Fetch a compressed image

    The image never changes and may be cached for as long as its URL is valid: indefinitely, unless the
    installation signs image URLs.
    """
    return _answer(image_id, extension)


@_image_call("/image/<image_id>.<extension>", "getImageById", IMAGE_ID, EXTENSION)
def image_by_id(image_id: str, extension: str) -> Any:
    """Fetch a compressed image by its id

    This form of the URL, returned by 0.1.0, remains valid.
    """
    return _answer(image_id, extension)


def _answer(image_id: str, extension: str) -> Any:
    lifetime = check_link(f"{image_id.lower()}.{extension}")
    found = _find(image_id, extension)
    # The link is only for GET, so HEAD is answered here.
    if current_settings().image_delivery == REDIRECT and request.method == "GET":
        return _redirect(found, lifetime)
    return _stream(found, image_id.lower(), lifetime)


def _redirect(image: queries.StoredImage, lifetime: int) -> Response:
    """Redirect to the storage; caches forget the redirect before its link expires."""
    seconds = min(LINK_SECONDS, lifetime)
    link = current_extension("storage").link(
        image.storage_key,
        seconds=seconds,
        media_type=f"image/{image.output_format}",
        cache_control=f"public, max-age={lifetime}, immutable",
    )
    response = Response(status=302, headers={"Location": link})
    response.cache_control.max_age = seconds // 2
    return _public(response)


def _stream(image: queries.StoredImage, name: str, lifetime: int) -> Any:
    file = current_extension("storage").open(image.storage_key)
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    response = _response(file, length, f"image/{image.output_format}")
    response.cache_control.max_age = lifetime
    response.cache_control.immutable = True
    response.set_etag(f"{name}-{length}")
    try:
        return response.make_conditional(request, accept_ranges=True, complete_length=length)
    except RequestedRangeNotSatisfiable:
        response.close()
        raise


def _find(image_id: str, extension: str) -> queries.StoredImage:
    """Return where the image is stored. Raise ImageNotFound; callers' text is never a path."""
    key = parse_id(image_id)
    found = queries.find_stored_image(key) if key else None
    if found is None or not found.storage_key.endswith(f".{extension}"):
        raise ImageNotFound()
    return found


def _response(file: BinaryIO, length: int, media_type: str) -> Response:
    response = Response(
        wrap_file(request.environ, file), content_type=media_type, direct_passthrough=True
    )
    response.content_length = length
    return _public(response)


def _public(response: Response) -> Response:
    """Let caches keep the answer, and let other sites embed it only as an image."""
    response.cache_control.public = True
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return sandbox(response)
