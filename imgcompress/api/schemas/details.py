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

    code = fields.String(required=True, attribute="error_code", metadata={
        "example": "source_status"})
    message = fields.String(required=True, attribute="error_message", metadata={
        "example": "HTTP 404. The server did not give the image; open the URL in a browser to see"
                   " why."})


class ImageSchema(Schema):
    """One image of a job."""

    image_id = fields.UUID(required=True)
    row_number = fields.Integer(required=True, metadata={
        "description": "The row, numbered as a spreadsheet does.", "example": 2})
    serial_number = fields.String(required=True, metadata={"example": "1"})
    product_name = fields.String(required=True, metadata={"example": "SKU1"})
    position = fields.Integer(required=True, metadata={
        "description": "The place among the URLs of the row, from 0.", "example": 0})
    input_url = fields.String(required=True, metadata={
        "example": "https://shop.example.com/1.jpg"})
    output_url = fields.String(
        required=True, allow_none=True, attribute="image_url",
        metadata={"description": "The compressed image; null until it is COMPLETED."})
    status = fields.String(required=True, validate=validate.OneOf(list(ImageStatus)))
    outcome = fields.String(required=True, allow_none=True, metadata={
        "description": "target_met, floor_reached, already_small or larger.",
        "example": "target_met"})
    error = fields.Nested(ImageErrorSchema, required=True, allow_none=True)
    input_bytes = _number("Bytes before", 401_408)
    output_bytes = _number("Bytes now", 196_704)
    width = _number("Pixels across", 1600)
    height = _number("Pixels high", 1200)
    output_format = fields.String(required=True, allow_none=True, metadata={"example": "jpeg"})
    quality = _number("The quality, if the format has one", 71)
    similarity = fields.Float(required=True, allow_none=True, metadata={
        "description": "How alike the image looks to its source, 0 to 1 (SSIM of the luma at a"
                       " reduced size); null until the image is COMPLETED.", "example": 0.982})


class DetailsSchema(PageSchema):
    """A page of a job's images, in the order of the CSV."""

    request_id = fields.UUID(required=True)
    total = fields.Integer(required=True, metadata={
        "description": "Images on all pages, at present.", "example": 6})
    images = fields.List(fields.Nested(ImageSchema), required=True)


class DetailsQuery(PageQuery):
    """Which images are asked for."""

    status = fields.String(
        validate=validate.OneOf(
            list(ImageStatus), error=f"status must be one of {', '.join(ImageStatus)}."),
        metadata={"description": "Only images in this status."})
    after = page_number(
        "after", 0, MAX_ORDINAL,
        description="Only images after this place, as `next` has it: with a status, the pages of a"
                    " running job shift, and the links of `next` miss and repeat nothing.")
