"""The images of a job."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from ...ledger.states import ImageStatus
from .paging import PageQuery, PageSchema, page_number

MAX_ORDINAL = 2**31 - 1


def _number(description: str, example: int) -> fields.Integer:
    return fields.Integer(required=True, allow_none=True, metadata={
        "description": f"{description}; null until the image is COMPLETED.", "example": example})


class ImageErrorSchema(Schema):
    """Why an image failed."""

    code = fields.String(required=True, metadata={"example": "source_status"})
    message = fields.String(required=True, metadata={
        "example": "HTTP 404. The server refused to send the image; open the URL in a browser to"
                   " see why."})


class ImageSchema(Schema):
    """One image of a job."""

    image_id = fields.UUID(required=True)
    row_number = fields.Integer(required=True, metadata={
        "description": "The row number, counted as in a spreadsheet.", "example": 2})
    serial_number = fields.String(required=True, metadata={"example": "1"})
    product_name = fields.String(required=True, metadata={"example": "SKU1"})
    position = fields.Integer(required=True, metadata={
        "description": "The position among the URLs of the row, from 0.", "example": 0})
    input_url = fields.String(required=True, metadata={
        "example": "https://shop.example.com/1.jpg"})
    output_url = fields.String(
        required=True, allow_none=True, metadata={
            "description": "The compressed image; null until it is COMPLETED."})
    status = fields.String(required=True, validate=validate.OneOf(list(ImageStatus)))
    outcome = fields.String(required=True, allow_none=True, metadata={
        "description": "target_met, floor_reached, already_small or larger.",
        "example": "target_met"})
    error = fields.Nested(ImageErrorSchema, required=True, allow_none=True)
    input_bytes = _number("Size of the original in bytes", 401_408)
    output_bytes = _number("Size of the compressed image in bytes", 196_704)
    width = _number("Width in pixels", 1600)
    height = _number("Height in pixels", 1200)
    output_format = fields.String(required=True, allow_none=True, metadata={"example": "jpeg"})
    quality = _number("The encoder's quality, if the format has one", 71)
    similarity = fields.Float(required=True, allow_none=True, metadata={
        "description": "Similarity to the original, 0 to 1 (SSIM of the luma at a reduced size);"
                       " null until the image is COMPLETED.", "example": 0.982})


class DetailsSchema(PageSchema):
    """A page of a job's images, in the order of the CSV."""

    request_id = fields.UUID(required=True)
    total = fields.Integer(required=True, metadata={
        "description": "Number of images on all pages at present.", "example": 6})
    images = fields.List(fields.Nested(ImageSchema), required=True)


class DetailsQuery(PageQuery):
    """Which images are asked for."""

    status = fields.String(
        validate=validate.OneOf(
            list(ImageStatus), error=f"status must be one of {', '.join(ImageStatus)}."),
        metadata={"description": "Only images in this status."})
    after = page_number(
        "after", 0, MAX_ORDINAL,
        description="Only images after this position, as in the links of `next`. With `status`, the"
                    " pages of a running job shift; the links of `next` neither skip nor repeat an"
                    " image.")
