"""The upload: its form, and its two answers."""

from __future__ import annotations

from email.headerregistry import Address
from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import FileStorage

from ...catalogue import FORMATS, MAX_SIDE, parse_format
from ...config import check_webhook_secret
from ...extensions import current_settings
from ..context import refusal_of
from .problem import FaultSchema

MAX_EMAIL_CHARS = 320

NO_FILE = ("No file was sent. Send the CSV as a file in the form field “file”; with curl: -F"
           " file=@products.csv")
NO_SCHEME = ("webhook_url must start with http:// or https://. Give the full URL, such as"
             " https://shop.example.com/hooks/images.")
NOT_CALLABLE = ("This service may not send webhooks to this URL. Use a public http or https URL, or"
                " ask the operator to allow the network or port.")
NO_ADDRESS = "email must be an e-mail address, such as team@example.com."
NO_MAIL = ("This installation sends no e-mail, because SMTP_URL is not set. Leave email out, and"
           " give a webhook_url or poll the status.")
NOTHING_TO_SIGN = "webhook_secret needs a webhook_url. Give both, or neither."


def _whole_number(name: str, low: int, high: int, description: str) -> fields.Integer:
    fault = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        error_messages={"invalid": fault, "null": fault, "too_large": fault},
        validate=validate.Range(low, high, error=fault), metadata={"description": description})


def _must_be_a_file(value: Any) -> None:
    if not isinstance(value, FileStorage) or not value.filename:
        raise ValidationError(NO_FILE)


def _must_be_callable(url: str) -> None:
    if not url.lower().startswith(("http://", "https://")):
        raise ValidationError(NO_SCHEME)
    if refusal_of(url) is not None:
        raise ValidationError(NOT_CALLABLE)


def _must_be_an_address(value: str) -> None:
    check = validate.And(
        validate.Length(max=MAX_EMAIL_CHARS, error="email is too long for an e-mail address."),
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


class _Format(fields.String):
    """A format under any of its names; one that is not known is left to the validator."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        name: str = super()._deserialize(value, attr, data, **kwargs)
        return parse_format(name) or name


class UploadSchema(Schema):
    """A CSV and how its images are to be compressed.

    Defaults are functions, which leave them out of the document: openapi-typescript would take a
    field that has one for one that must be given.
    """

    file = Upload(required=True, validate=_must_be_a_file, error_messages={"required": NO_FILE},
                  metadata={"description": "The CSV, with the columns `S. No.`, `Product Name` and"
                                           " `Input Image Urls`."})
    webhook_url = fields.String(validate=_must_be_callable, metadata={
        "description": "Every change of the job's status is sent to this URL.", "format": "uri",
        "example": "https://shop.example.com/hooks/images"})
    webhook_secret = fields.String(validate=_must_be_a_secret, metadata={
        "description": "Signs this job's webhooks instead of the installation's own secret:"
                       " `whsec_` and 24 to 64 bytes in base64. Accepted in the form only, not in"
                       " the URL.",
        "format": "password"})
    email = fields.String(validate=_must_be_an_address, metadata={
        "description": "Receives an e-mail with the output CSV when the job ends.",
        "format": "email",
        "example": "team@example.com"})
    compression_percentage = _whole_number(
        "compression_percentage", 1, 95, "How much smaller the files become, in per cent; 50 unless"
        " the installation sets another default.")
    quality = _whole_number("quality", 1, 95, "A fixed encoder quality, instead of a percentage.")
    format = _Format(
        validate=validate.OneOf(FORMATS, error=f"format must be one of {', '.join(FORMATS)}."),
        load_default=lambda: "keep", metadata={
            "description": "The format of the compressed images; `keep`, the default, keeps that of"
                           " each original. `jpg` means `jpeg`."})
    max_width = _whole_number("max_width", 1, MAX_SIDE,
                              "Maximum width in pixels; wider images are scaled down.")
    max_height = _whole_number("max_height", 1, MAX_SIDE,
                               "Maximum height in pixels; taller images are scaled down.")
    dry_run = fields.Boolean(
        load_default=lambda: False, error_messages={"invalid": "dry_run must be true or false."},
        metadata={"description": "Only check the file; store nothing."})

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
        "description": "The job's id, for all further calls."})
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
        "description": "The first 100 issues."})
    error_count = fields.Integer(required=True, metadata={"example": 0})
