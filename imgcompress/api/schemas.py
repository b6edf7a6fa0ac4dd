"""Shapes that several calls share: times, problems, the reading of a catalogue, pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, fields, missing, validate

from ..csvfile import FILE_FORMATS


class Time(fields.AwareDateTime):
    """A time in UTC, ISO 8601 with milliseconds and `Z`."""

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | None:
        if value is None:
            return None
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return f"{utc.isoformat(timespec='milliseconds')}Z"


class IssueSchema(Schema):
    """One issue of a request."""

    field = fields.String(
        required=True,
        metadata={
            "description": "The field of the request; `file` for every issue in the CSV.",
            "example": "file",
        },
    )
    row = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "The row number in the CSV, counted as in a spreadsheet; null if the issue"
            " is not in a row.",
            "example": 4,
        },
    )
    column = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The header of the column; null if the issue is not in a column.",
            "example": "Input Image Urls",
        },
    )
    code = fields.String(
        required=True,
        metadata={"description": "A stable code for the issue.", "example": "relative_url"},
    )
    message = fields.String(
        required=True,
        metadata={
            "description": "What is wrong and how to fix it, for people.",
            "example": "This is a path, not a full image URL. Send base_url with the upload, such as"
            " base_url=https://shop.example.com/media/, or enter full URLs.",
        },
    )
    value = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The invalid value, shortened to 200 characters.",
            "example": None,
        },
    )


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it, with a stable code."""

    type = fields.String(required=True, metadata={"example": "about:blank"})
    title = fields.String(required=True, metadata={"example": "Not Found"})
    status = fields.Integer(required=True, metadata={"example": 404})
    detail = fields.String(
        required=True,
        metadata={
            "description": "What happened and what to do, for people.",
            "example": "There is no job with this id. Check the id; the job may also have been"
            " deleted.",
        },
    )
    instance = fields.String(
        required=True,
        metadata={
            "description": "The path of the request.",
            "example": "/job/status/7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11",
        },
    )
    code = fields.String(
        required=True,
        metadata={"description": "A stable code for the error.", "example": "job_not_found"},
    )
    retryable = fields.Boolean(
        required=True,
        metadata={"description": "Whether the same request can succeed later.", "example": False},
    )
    errors = fields.List(
        fields.Nested(IssueSchema), metadata={"description": "With 400: the first 100 issues."}
    )
    error_count = fields.Integer(
        metadata={"description": "With 400: the total number of issues.", "example": 1}
    )


class ColumnsSchema(Schema):
    """The columns that are read, as the file calls them."""

    urls = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The columns with the image URLs.",
            "example": ["Image Src", "Variant Image"],
        },
    )
    name = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The column with the product names.", "example": "Title"},
    )
    id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The column with the product identifiers.", "example": "Handle"},
    )


class ReadingSchema(Schema):
    """The columns and layout chosen in a catalogue."""

    layout = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The layout of the file: that of a shop, such as `shopify`; `imgcompress`"
            " for the columns of this service, `named` for columns named by the upload,"
            " `detected` for the only column with image URLs, null if none was found.",
            "example": "shopify",
        },
    )
    columns = fields.Nested(ColumnsSchema, required=True, allow_none=True)
    skipped_rows = fields.Integer(
        required=True,
        metadata={
            "description": "Rows that were left out because of an error, with `on_row_error=skip`.",
            "example": 0,
        },
    )
    download_format = fields.String(
        required=True,
        validate=validate.OneOf(FILE_FORMATS),
        metadata={
            "description": "The file format of the output: that of an uploaded Excel workbook, else"
            " `csv`.",
            "example": "csv",
        },
    )


MAX_PER_PAGE = 1_000
# The largest number that both databases take as an offset, with any per_page.
MAX_PAGE = 10**9


def page_number(
    name: str, low: int, high: int, *, description: str, default: int | None = None
) -> fields.Integer:
    """Return a query field for a whole number within bounds."""
    message = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        load_default=missing if default is None else default,
        error_messages={"invalid": message, "too_large": message},
        validate=validate.Range(low, high, error=message),
        metadata={"description": description},
    )


class PageQuery(Schema):
    """Which page is asked for."""

    page = page_number("page", 1, MAX_PAGE, default=1, description="The page number, from 1.")
    per_page = page_number(
        "per_page", 1, MAX_PER_PAGE, default=100, description="Entries per page."
    )


class PageSchema(Schema):
    """The place of a page among the others."""

    page = fields.Integer(required=True, metadata={"example": 1})
    per_page = fields.Integer(required=True, metadata={"example": 100})
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The next page; null on the last one.", "format": "uri"},
    )
    prev = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The previous page; null on the first one.", "format": "uri"},
    )
