"""The upload: its form, and its two answers."""

from __future__ import annotations

from email.headerregistry import Address
from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import FileStorage

from ...catalogue import FORMATS, MAX_SIDE
from ...config import check_webhook_secret
from ...extensions import current_settings
from ..context import refusal_of
from . import request_headers
from .problem import FaultSchema

MAX_EMAIL_CHARS = 320

NO_FILE = ("There is no file. Send the CSV as a file in the form field “file”; with curl:"
           " -F file=@products.csv. Or give its address as csv_url.")
TWO_FILES = "Give the file or csv_url, not both."
NO_ADDRESS = "email must be an address, such as team@example.com."
NO_MAIL = ("This installation sends no mail, for SMTP_URL is not set. Leave the email out, and give"
           " a webhook_url or poll the status.")
NOTHING_TO_SIGN = "webhook_secret is of use with a webhook_url only. Give both, or neither."


def _whole_number(name: str, low: int, high: int, description: str) -> fields.Integer:
    fault = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        error_messages={"invalid": fault, "null": fault, "too_large": fault},
        validate=validate.Range(low, high, error=fault), metadata={"description": description})


def _must_be_a_file(value: Any) -> None:
    if not isinstance(value, FileStorage) or not value.filename:
        raise ValidationError(NO_FILE)


def _must_be_callable(url: str) -> None:
    reason = refusal_of(url)
    if reason is not None:
        raise ValidationError(reason)


def _must_be_an_address(value: str) -> None:
    check = validate.And(
        validate.Length(max=MAX_EMAIL_CHARS, error="email is too long for an address."),
        validate.Email(error=NO_ADDRESS))
    check(value)
    try:
        Address(addr_spec=value)  # What cannot be a header of a mail is refused here.
    except (ValueError, IndexError) as error:
        raise ValidationError(NO_ADDRESS) from error
    if current_settings().smtp_server is None:
        raise ValidationError(NO_MAIL)


def _must_be_a_secret(value: str) -> None:
    try:
        check_webhook_secret(value)
    except ValueError as error:
        raise ValidationError(f"webhook_secret {error}.") from error


class UploadSchema(Schema):
    """A CSV and how its images are to be compressed.

    Defaults are functions, which leave them out of the document: openapi-typescript would take a
    field that has one for one that must be given.
    """

    file = Upload(validate=_must_be_a_file, metadata={
        "description": "The CSV, with the columns `S. No.`, `Product Name` and `Input Image Urls`."
                       " It, or `csv_url`, has to be given."})
    csv_url = fields.String(validate=_must_be_callable, metadata={
        "description": "The address of the CSV, in place of `file`: it is fetched once, now.",
        "format": "uri", "example": "https://shop.example.com/export/products.csv"})
    webhook_url = fields.String(validate=_must_be_callable, metadata={
        "description": "Every change of the job's status is sent to this URL.", "format": "uri",
        "example": "https://shop.example.com/hooks/images"})
    webhook_secret = fields.String(validate=_must_be_a_secret, metadata={
        "description": "Signs this job's webhooks in place of the installation's own secret:"
                       " `whsec_` and 24 to 64 bytes in base64. In the form only, not in the URL.",
        "format": "password"})
    email = fields.String(validate=_must_be_an_address, metadata={
        "description": "Who gets a mail with the output CSV when the job ends.", "format": "email",
        "example": "team@example.com"})
    compression_percentage = _whole_number(
        "compression_percentage", 1, 95, "How much smaller the files become, in per cent; 50"
        " unless the installation says otherwise.")
    quality = _whole_number("quality", 1, 95, "A fixed quality, instead of a percentage.")
    format = fields.String(
        validate=validate.OneOf(FORMATS, error=f"format must be one of {', '.join(FORMATS)}."),
        load_default=lambda: "keep", metadata={
            "description": "The format of the compressed images; `keep` if left out: that of each"
                           " source."})
    max_width = _whole_number("max_width", 1, MAX_SIDE, "Scale down to this many pixels across.")
    max_height = _whole_number("max_height", 1, MAX_SIDE, "Scale down to this many pixels high.")
    user_agent = request_headers.user_agent()
    referer = request_headers.referer()
    accept_language = request_headers.accept_language()
    dry_run = fields.Boolean(
        load_default=lambda: False, error_messages={"invalid": "dry_run must be true or false."},
        metadata={"description": "Only look the file over; store nothing."})

    @validates_schema(skip_on_field_errors=False)
    def _one_file(self, data: dict[str, Any], **_: Any) -> None:
        if "file" in data and "csv_url" in data:
            raise ValidationError(TWO_FILES, "csv_url")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _some_file(self, _data: dict[str, Any], original: Any, **_: Any) -> None:
        if not {"file", "csv_url"} & set(original):
            raise ValidationError(NO_FILE, "file")

    @validates_schema
    def _one_measure(self, data: dict[str, Any], **_: Any) -> None:
        if "quality" in data and "compression_percentage" in data:
            raise ValidationError("Give quality or compression_percentage, not both.", "quality")

    @validates_schema(skip_on_field_errors=True)
    def _something_to_sign(self, data: dict[str, Any], **_: Any) -> None:
        if "webhook_secret" in data and "webhook_url" not in data:
            raise ValidationError(NOTHING_TO_SIGN, "webhook_secret")


class AcceptedSchema(Schema):
    """The answer to an upload."""

    request_id = fields.UUID(required=True, metadata={
        "description": "The id of the job, for all further calls."})
    status = fields.String(required=True, metadata={"example": "PENDING"})
    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    status_url = fields.String(required=True, metadata={"format": "uri"})


class DryRunSchema(Schema):
    """The answer to a dry run."""

    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    errors = fields.List(fields.Nested(FaultSchema), required=True, metadata={
        "description": "The first 100 faults."})
    error_count = fields.Integer(required=True, metadata={"example": 0})
