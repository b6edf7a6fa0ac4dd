"""Errors."""

from __future__ import annotations

from marshmallow import Schema, fields


class FaultSchema(Schema):
    """One thing that is wrong with a request."""

    field = fields.String(required=True, metadata={
        "description": "The field of the request; `file` for every issue in the CSV.",
        "example": "file"})
    row = fields.Integer(required=True, allow_none=True, metadata={
        "description": "The row number in the CSV, counted as in a spreadsheet; null if the issue"
                       " is not in a row.",
        "example": 4})
    column = fields.String(required=True, allow_none=True, metadata={
        "description": "The header of the column; null if the issue is not in a column.",
        "example": "Input Image Urls"})
    code = fields.String(required=True, metadata={
        "description": "A stable code for the issue.", "example": "relative_url"})
    message = fields.String(required=True, metadata={
        "description": "What is wrong and how to fix it, for people.",
        "example": "This is a path, not a full image URL. Send base_url with the upload, such as"
                   " base_url=https://shop.example.com/media/, or enter full URLs."})
    value = fields.String(required=True, allow_none=True, metadata={
        "description": "The invalid value, shortened to 200 characters.", "example": None})


class ProblemSchema(Schema):
    """An error, as RFC 9457 has it, with a stable code."""

    type = fields.String(required=True, metadata={"example": "about:blank"})
    title = fields.String(required=True, metadata={"example": "Not Found"})
    status = fields.Integer(required=True, metadata={"example": 404})
    detail = fields.String(required=True, metadata={
        "description": "What happened and what to do, for people.",
        "example": "There is no job with this id. Check the id; the job may also have been"
                   " deleted."})
    instance = fields.String(required=True, metadata={
        "description": "The path of the request.",
        "example": "/job/status/7f1c2a9e-5b0d-4c44-9d3b-0f6f1f6f2a11"})
    code = fields.String(required=True, metadata={
        "description": "A stable code for the error.",
        "example": "job_not_found"})
    retryable = fields.Boolean(required=True, metadata={
        "description": "Whether the same request can succeed later.", "example": False})
    errors = fields.List(fields.Nested(FaultSchema), metadata={
        "description": "With 400: the first 100 issues."})
    error_count = fields.Integer(metadata={
        "description": "With 400: the total number of issues.", "example": 1})
