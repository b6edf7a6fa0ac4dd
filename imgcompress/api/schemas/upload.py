"""The upload: its form, and its two answers."""

from __future__ import annotations

from collections.abc import Callable
from email.headerregistry import Address
from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import FileStorage

from ...catalogue import FORMATS, MAX_SIDE, known_encoding, parse_format
from ...config import check_webhook_secret
from ...extensions import current_settings
from ..context import refusal_of
from . import request_headers
from .problem import FaultSchema
from .reading import ReadingSchema

MAX_EMAIL_CHARS = 320
MAX_READING_CHARS = 10_000

NO_FILE = ("No file was sent. Send the CSV as a file in the form field “file”; with curl: -F"
           " file=@products.csv. Or send its URL as csv_url.")
TWO_FILES = "Send file or csv_url, not both."
NO_SCHEME = "The URL must start with http:// or https://. Give the full URL, such as {example}."
NOT_CALLABLE = ("This service may not send requests to this URL. Use a public http or https URL, or"
                " ask the operator to allow the network or port.")
EXAMPLE_TABLE = "https://shop.example.com/export/products.csv"
EXAMPLE_HOOK = "https://shop.example.com/hooks/images"
NO_ADDRESS = "email must be an e-mail address, such as team@example.com."
NO_MAIL = ("This installation sends no e-mail, because SMTP_URL is not set. Leave email out, and"
           " give a webhook_url or poll the status.")
NOTHING_TO_SIGN = "webhook_secret needs a webhook_url. Give both, or neither."


def _short_enough(name: str) -> validate.Length:
    return validate.Length(1, MAX_READING_CHARS, error=f"{name} must have 1 to"
                           f" {MAX_READING_CHARS:,} characters, or be left out.")


def _whole_number(name: str, low: int, high: int, description: str) -> fields.Integer:
    fault = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        error_messages={"invalid": fault, "null": fault, "too_large": fault},
        validate=validate.Range(low, high, error=fault), metadata={"description": description})


def _must_be_known_encoding(value: str) -> None:
    if known_encoding(value) is None:
        raise ValidationError("encoding must be the name of an encoding, such as utf-8,"
                              " windows-1251, shift_jis or gbk.")


def _must_be_a_base(url: str) -> None:
    if not url.lower().startswith(("http://", "https://")) or "?" in url or "#" in url:
        raise ValidationError("base_url must be the URL of a folder, such as"
                              " https://shop.example.com/media/.")
    reason = refusal_of(url)
    if reason is not None:
        raise ValidationError(reason)


def _must_be_a_file(value: Any) -> None:
    if not isinstance(value, FileStorage) or not value.filename:
        raise ValidationError(NO_FILE)


def _callable_url(example: str) -> Callable[[str], None]:
    def check(url: str) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise ValidationError(NO_SCHEME.format(example=example))
        if refusal_of(url) is not None:
            raise ValidationError(NOT_CALLABLE)

    return check


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

    file = Upload(validate=_must_be_a_file, metadata={
        "description": "The catalogue, such as the export of a shop: a CSV, XLSX or ODS file, also"
                       " in gzip or ZIP; or a CSV with the columns `S. No.`, `Product Name` and"
                       " `Input Image Urls`. Either this or `csv_url` is required."})
    csv_url = fields.String(validate=_callable_url(EXAMPLE_TABLE), metadata={
        "description": "The URL of the catalogue, instead of `file`. It is fetched once, during the"
                       " upload.",
        "format": "uri", "example": EXAMPLE_TABLE})
    url_columns = fields.String(
        validate=_short_enough("url_columns"), metadata={
            "description": "The columns with the image URLs, separated by commas; `*` stands for"
                           " any text. Detected if left out.",
            "example": "Image Src,Variant Image"})
    name_column = fields.String(validate=_short_enough("name_column"), metadata={
        "description": "The column with the product names.", "example": "Title"})
    id_column = fields.String(validate=_short_enough("id_column"), metadata={
        "description": "The column with the product identifiers.", "example": "Handle"})
    sheet = fields.String(validate=_short_enough("sheet"), metadata={
        "description": "The sheet to read from a workbook; the first if left out.",
        "example": "Products"})
    base_url = fields.String(
        validate=validate.And(_short_enough("base_url"), _must_be_a_base), metadata={
            "description": "Put before image paths and file names without a host.",
            "format": "uri", "example": "https://shop.example.com/media/catalog/product/"})
    encoding = fields.String(
        validate=validate.And(_short_enough("encoding"), _must_be_known_encoding), metadata={
            "description": "The encoding of a CSV; detected if left out.",
            "example": "windows-1251"})
    on_row_error = fields.String(
        validate=validate.OneOf(("refuse", "skip"), error="on_row_error must be refuse or skip."),
        load_default=lambda: "refuse", metadata={
            "description": "What to do about a URL that cannot be fetched: `refuse` the file (the"
                           " default), or `skip` it, so that it becomes a failed image and the"
                           " others are compressed."})
    row_options = fields.Boolean(
        load_default=lambda: False,
        error_messages={"invalid": "row_options must be true or false."}, metadata={
            "description": "Read `format`, `quality`, `compression_percentage`, `max_width` and"
                           " `max_height` from columns with these names. Columns called"
                           " `imgcompress format` and so on are always read."})
    webhook_url = fields.String(validate=_callable_url(EXAMPLE_HOOK), metadata={
        "description": "Every change of the job's status is sent to this URL.", "format": "uri",
        "example": EXAMPLE_HOOK})
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
    user_agent = request_headers.user_agent()
    referer = request_headers.referer()
    accept_language = request_headers.accept_language()
    dry_run = fields.Boolean(
        load_default=lambda: False, error_messages={"invalid": "dry_run must be true or false."},
        metadata={"description": "Only check the file; store nothing."})

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


def _warnings() -> fields.Field[Any]:
    return fields.List(fields.Nested(FaultSchema), required=True, metadata={
        "description": "Warnings about an accepted file: columns with URLs that are not read and,"
                       " with `on_row_error=skip`, the first 100 URLs that cannot be fetched."})


class AcceptedSchema(ReadingSchema):
    """The answer to an upload."""

    request_id = fields.UUID(required=True, metadata={
        "description": "The job's id, for all further calls."})
    status = fields.String(required=True, metadata={"example": "PENDING"})
    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    status_url = fields.String(required=True, metadata={"format": "uri"})
    warnings = _warnings()


class DryRunSchema(ReadingSchema):
    """The answer to a dry run."""

    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    errors = fields.List(fields.Nested(FaultSchema), required=True, metadata={
        "description": "The first 100 issues."})
    warnings = _warnings()
    error_count = fields.Integer(required=True, metadata={"example": 0})
