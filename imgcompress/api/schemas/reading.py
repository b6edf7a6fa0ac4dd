"""How a catalogue was read: its layout, and the columns that were chosen."""

from __future__ import annotations

from marshmallow import Schema, fields


class ColumnsSchema(Schema):
    """The columns that are read, as the file calls them."""

    urls = fields.List(fields.String(), required=True, metadata={
        "description": "Those with the image URLs.", "example": ["Image Src", "Variant Image"]})
    name = fields.String(required=True, allow_none=True, metadata={
        "description": "That with the names of the products.", "example": "Title"})
    id = fields.String(required=True, allow_none=True, metadata={
        "description": "That with their identifiers.", "example": "Handle"})


class ReadingSchema(Schema):
    """What was chosen in a catalogue."""

    layout = fields.String(required=True, allow_none=True, metadata={
        "description": "Whose export the file is, such as `shopify`; `imgcompress` for the columns"
                       " of this service, `named` for those that the upload named, `detected` for"
                       " the one column that holds URLs of images, null if none was found.",
        "example": "shopify"})
    columns = fields.Nested(ColumnsSchema, required=True, allow_none=True)
