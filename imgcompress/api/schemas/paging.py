"""Pages of long lists."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

MAX_PER_PAGE = 1_000
# The largest number that both databases take as an offset, with any per_page.
MAX_PAGE = 10**9


def page_number(name: str, low: int, high: int, *, description: str,
                default: int | None = None) -> fields.Integer:
    """Return a query field for a whole number within bounds."""
    fault = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        load_default=default, error_messages={"invalid": fault, "too_large": fault},
        validate=validate.Range(low, high, error=fault), metadata={"description": description})


class PageQuery(Schema):
    """Which page is asked for."""

    page = page_number("page", 1, MAX_PAGE, default=1, description="The page number, from 1.")
    per_page = page_number("per_page", 1, MAX_PER_PAGE, default=100,
                           description="Entries per page.")


class PageSchema(Schema):
    """The place of a page among the others."""

    page = fields.Integer(required=True, metadata={"example": 1})
    per_page = fields.Integer(required=True, metadata={"example": 100})
    next = fields.String(required=True, allow_none=True, metadata={
        "description": "The next page; null on the last one.", "format": "uri"})
    prev = fields.String(required=True, allow_none=True, metadata={
        "description": "The previous page; null on the first one.", "format": "uri"})
