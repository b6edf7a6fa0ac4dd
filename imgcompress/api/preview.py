"""`POST /preview`: try options on one image before a job."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from ..catalogue import OPTION_NAMES, RATINGS, rating_of
from ..extensions import current_settings
from ..worker.intake import url_error
from ..worker.preview import preview_image
from .image_reports import OUTCOMES
from .openapi import Blueprint
from .upload_form import HEADER_FIELDS, compression_of, form_like_upload, headers_of

MAX_URL_CHARS = 8_000


def _must_be_fetchable(url: str) -> None:
    reason = url_error(current_settings(), url)
    if reason is not None:
        raise ValidationError(reason)


class ImagePreviewSchema(form_like_upload(*OPTION_NAMES, *HEADER_FIELDS)):  # type: ignore[misc]
    """An image, and options as for an upload."""

    url = fields.String(
        required=True,
        error_messages={"required": "Send the URL of an image as url."},
        validate=validate.And(
            validate.Length(1, MAX_URL_CHARS, error="url must be the URL of an image."),
            _must_be_fetchable,
        ),
        metadata={
            "description": "The URL of the image.",
            "format": "uri",
            "example": "https://shop.example.com/front.jpg",
        },
    )


class PreviewedImageSchema(Schema):
    """A compressed image that is not stored."""

    input_bytes = fields.Integer(required=True, metadata={"example": 401_408})
    output_bytes = fields.Integer(required=True, metadata={"example": 196_704})
    width = fields.Integer(required=True, metadata={"example": 1600})
    height = fields.Integer(required=True, metadata={"example": 1200})
    output_format = fields.String(required=True, metadata={"example": "jpeg"})
    quality = fields.Integer(required=True, allow_none=True, metadata={"example": 71})
    score = fields.Float(required=True, metadata={"example": 78.4})
    rating = fields.String(required=True, validate=validate.OneOf(list(RATINGS)))
    outcome = fields.String(required=True, validate=validate.OneOf(OUTCOMES))
    image = fields.String(
        required=True,
        metadata={
            "description": "The compressed image as a data URL.",
            "example": "data:image/jpeg;base64,/9j/4AAQ",
        },
    )


blueprint = Blueprint("preview", __name__, description="Try options on one image.")


@blueprint.route("/preview", methods=["POST"])
@blueprint.doc(operationId="previewImage")
@blueprint.arguments(ImagePreviewSchema, location="form")
@blueprint.response(200, PreviewedImageSchema)
@blueprint.problems(400, 413, 422, 429)
def preview(values: dict[str, Any]) -> Any:
    """Preview one image

    The image is fetched, compressed with these options, and returned. Nothing is stored. An image
    may have at most 20 MiB and 25 megapixels, and each step may take up to 10 s.
    """
    made = preview_image(
        current_settings(), values["url"], compression_of(values), headers_of(values)
    )
    output = made.output
    data = b64encode(output.data).decode("ascii")
    return {
        "input_bytes": made.input_bytes,
        "output_bytes": len(output.data),
        "width": output.width,
        "height": output.height,
        "output_format": output.format,
        "quality": output.quality,
        "score": round(output.score, 1),
        "rating": rating_of(output.score),
        "outcome": output.outcome,
        "image": f"data:image/{output.format};base64,{data}",
    }
