"""How a catalogue was read: its layout, and the columns that were chosen."""

from __future__ import annotations

from marshmallow import Schema, fields


class ColumnsSchema(Schema):
    """The columns that are read, as the file calls them."""

    urls = fields.List(fields.String(), required=True, metadata={
        "description": "The columns with the image URLs.",
        "example": ["Image Src", "Variant Image"]})
    name = fields.String(required=True, allow_none=True, metadata={
        "description": "The column with the product names.", "example": "Title"})
    id = fields.String(required=True, allow_none=True, metadata={
        "description": "The column with the product identifiers.", "example": "Handle"})


class ReadingSchema(Schema):
    """What was chosen in a catalogue."""

    layout = fields.String(required=True, allow_none=True, metadata={
        "description": "The layout of the file: that of a shop, such as `shopify`; `imgcompress`"
                       " for the columns of this service, `named` for columns named by the upload,"
                       " `detected` for the only column with image URLs, null if none was found.",
        "example": "shopify"})
    columns = fields.Nested(ColumnsSchema, required=True, allow_none=True)
