"""The form of an upload: its schema, and what its values ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask import request
from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import FileStorage, MultiDict

from ..csvfile import OUTPUTS, Wishes, known_encoding
from ..extensions import current_settings
from ..ledger.slices import REQUEST_HEADERS
from ..options import EFFORTS, FORMATS, METADATA, OPTION_NAMES, OUTPUT_FORMATS
from ..worker.intake import clean_name
from . import upload_fields
from .errors import SECRETS, NotMultipart, RequestIssue, issues_of_fields
from .upload_fields import (
    EXAMPLE_HOOK,
    EXAMPLE_TABLE,
    NO_FILE,
    TRUST_ALONE,
    TRUST_AND_FRESH,
    _Effort,
    _Format,
    _Formats,
    _Metadata,
    _must_be_a_base,
    _must_be_a_file,
    _must_be_a_secret,
    _must_be_an_address,
    _must_be_known_encoding,
    _OutputColumns,
    _short_enough,
    _whole_number,
    callable_url,
    headers_of,
)

TWO_FILES = "Send file or csv_url, not both."
NOTHING_TO_SIGN = "webhook_secret needs a webhook_url. Give both, or neither."


class CompressionForm(Schema):
    """A form with options for compressing images."""

    @validates_schema
    def _one_measure(self, data: dict[str, Any], **_: Any) -> None:
        if "quality" in data and "compression_percentage" in data:
            raise ValidationError("Give quality or compression_percentage, not both.", "quality")


class UploadSchema(CompressionForm):
    """A CSV and the options for compressing its images.

    Defaults are functions, which leave them out of the document: openapi-typescript would take a
    field that has one for one that must be given.
    """

    file = Upload(
        validate=_must_be_a_file,
        metadata={
            "description": "The catalogue, such as the export of a shop: a CSV, XLSX or ODS file, also"
            " in gzip or ZIP; or a CSV with the columns `S. No.`, `Product Name` and"
            " `Input Image Urls`. Either this or `csv_url` is required."
        },
    )
    csv_url = fields.String(
        validate=callable_url(EXAMPLE_TABLE),
        metadata={
            "description": "The URL of the catalogue, instead of `file`. It is fetched once, during the"
            " upload.",
            "format": "uri",
            "example": EXAMPLE_TABLE,
        },
    )
    url_columns = fields.String(
        validate=_short_enough("url_columns"),
        metadata={
            "description": "The columns with the image URLs, separated by commas; `*` stands for"
            " any text. Detected if left out.",
            "example": "Image Src,Variant Image",
        },
    )
    name_column = fields.String(
        validate=_short_enough("name_column"),
        metadata={"description": "The column with the product names.", "example": "Title"},
    )
    id_column = fields.String(
        validate=_short_enough("id_column"),
        metadata={"description": "The column with the product identifiers.", "example": "Handle"},
    )
    sheet = fields.String(
        validate=_short_enough("sheet"),
        metadata={
            "description": "The sheet to read from a workbook; the first if left out.",
            "example": "Products",
        },
    )
    base_url = fields.String(
        validate=validate.And(_short_enough("base_url"), _must_be_a_base),
        metadata={
            "description": "Put before image paths and file names without a host.",
            "format": "uri",
            "example": "https://shop.example.com/media/catalog/product/",
        },
    )
    encoding = fields.String(
        validate=validate.And(_short_enough("encoding"), _must_be_known_encoding),
        metadata={
            "description": "The encoding of a CSV; detected if left out.",
            "example": "windows-1251",
        },
    )
    on_row_error = fields.String(
        validate=validate.OneOf(("refuse", "skip"), error="on_row_error must be refuse or skip."),
        load_default=lambda: "refuse",
        metadata={
            "description": "What to do about a row with an error: `refuse` the file (the default), or"
            " `skip` the row. A URL that cannot be fetched becomes a failed image then,"
            " and the other images of its row are compressed."
        },
    )
    output = fields.String(
        validate=validate.OneOf(OUTPUTS, error="output must be append or replace."),
        load_default=lambda: "append",
        metadata={
            "description": "How the output is written: `append` two columns to the table (the default),"
            " or `replace` the image URLs in their own cells and change nothing else."
        },
    )
    output_columns = _OutputColumns(
        metadata={
            "description": "Further columns of an output with appended columns, separated by commas:"
            " `score`, and `advice`, which is another format and the percentage of the original that"
            " it would save. With several images in a row, the values are in the order of the URLs.",
            "example": "score,advice",
        },
    )
    row_options = fields.Boolean(
        load_default=lambda: False,
        error_messages={"invalid": "row_options must be true or false."},
        metadata={
            "description": "Read `format`, `quality`, `compression_percentage`, `max_width`,"
            " `max_height`, `effort`, `formats`, `min_score` and `metadata` from columns with these"
            " names. Columns called `imgcompress format` and so on are always read."
        },
    )
    webhook_url = fields.String(
        validate=callable_url(EXAMPLE_HOOK),
        metadata={
            "description": "Every change of the job's status is sent to this URL.",
            "format": "uri",
            "example": EXAMPLE_HOOK,
        },
    )
    webhook_secret = fields.String(
        validate=_must_be_a_secret,
        metadata={
            "description": "Signs this job's webhooks instead of the installation's own secret:"
            " `whsec_` and 24 to 64 bytes in base64. Accepted in the form only, not in"
            " the URL.",
            "format": "password",
        },
    )
    email = fields.String(
        validate=_must_be_an_address,
        metadata={
            "description": "Receives an e-mail with the output CSV when the job ends.",
            "format": "email",
            "example": "team@example.com",
        },
    )
    compression_percentage = _whole_number(
        "compression_percentage",
        "How much smaller the files become, in per cent; 50 unless"
        " the installation sets another default.",
    )
    quality = _whole_number("quality", "A fixed encoder quality, instead of a percentage.")
    format = _Format(
        validate=validate.OneOf(FORMATS, error=f"format must be one of {', '.join(FORMATS)}."),
        load_default=lambda: "keep",
        metadata={
            "description": "The format of the compressed images; `keep`, the default, keeps that of"
            " each original, and `auto` chooses for each image the one that needs the fewest bytes"
            " for the same looks. `jpg` means `jpeg`."
        },
    )
    formats = _Formats(
        metadata={
            "description": "With `format=auto`: the formats to choose from, separated by commas;"
            f" {', '.join(OUTPUT_FORMATS)} if left out.",
            "example": "webp,jpeg",
        },
    )
    max_width = _whole_number("max_width", "Maximum width in pixels; wider images are scaled down.")
    max_height = _whole_number(
        "max_height", "Maximum height in pixels; taller images are scaled down."
    )
    effort = _Effort(
        validate=validate.OneOf(EFFORTS, error=f"effort must be one of {', '.join(EFFORTS)}."),
        metadata={
            "description": "How much time each image may take: `low`, `medium` or `high`. More time"
            " makes the images look better at the same size; `medium` unless the"
            " installation sets another default."
        },
    )
    min_score = _whole_number(
        "min_score",
        "The lowest score that an image may have, on the scale of `score` from 0 to 100: where the"
        " percentage would take more, the image stays larger (`floor_reached`). It replaces the"
        " installation's lowest quality, and has no effect with a fixed `quality`.",
    )
    metadata = _Metadata(
        validate=validate.OneOf(METADATA, error=f"metadata must be one of {', '.join(METADATA)}."),
        metadata={
            "description": "What the images keep of their metadata: `none`, or `rights`, which is"
            " creator, copyright, licence and IPTC digital source type; `none` unless the"
            " installation sets another default."
        },
    )
    user_agent = upload_fields.user_agent()
    referer = upload_fields.referer()
    accept_language = upload_fields.accept_language()
    since = upload_fields.since()
    trust = upload_fields.trust()
    fresh = upload_fields.fresh()
    dry_run = fields.Boolean(
        load_default=lambda: False,
        error_messages={"invalid": "dry_run must be true or false."},
        metadata={"description": "Only check the file; store nothing."},
    )

    @validates_schema(skip_on_field_errors=False)
    def _one_file(self, data: dict[str, Any], **_: Any) -> None:
        if "file" in data and "csv_url" in data:
            raise ValidationError(TWO_FILES, "csv_url")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _some_file(self, _data: dict[str, Any], original: Any, **_: Any) -> None:
        if not {"file", "csv_url"} & set(original):
            raise ValidationError(NO_FILE, "file")

    @validates_schema
    def _comparison(self, data: dict[str, Any], **_: Any) -> None:
        for name in ("trust", "fresh"):
            if data.get(name) and "since" not in data:
                raise ValidationError(TRUST_ALONE.format(name=name), name)
        if data.get("trust") and data.get("fresh"):
            raise ValidationError(TRUST_AND_FRESH, "trust")

    @validates_schema(skip_on_field_errors=True)
    def _something_to_sign(self, data: dict[str, Any], **_: Any) -> None:
        if "webhook_secret" in data and "webhook_url" not in data:
            raise ValidationError(NOTHING_TO_SIGN, "webhook_secret")


def form_like_upload(*names: str) -> Any:
    """Return a base for forms that have these fields of an upload, under the same rules."""
    return CompressionForm.from_dict({name: UploadSchema._declared_fields[name] for name in names})


MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class UploadForm:
    """The file, if there is one, the valid values, and the issues of the others."""

    file: FileStorage | None
    values: dict[str, Any]
    issues: list[RequestIssue]

    @property
    def csv_url(self) -> str | None:
        """Return the URL of the table, if it is valid and there is no file."""
        url: str | None = None if "file" in self.values else self.values.get("csv_url")
        return url

    @property
    def filename(self) -> str:
        """Return the name of the file without its folders and without control characters."""
        return clean_name((self.file and self.file.filename) or "")

    @property
    def options(self) -> dict[str, Any]:
        """Return how the images are to be fetched and compressed, as the job keeps it."""
        options = compression_of(self.values)
        headers = headers_of(self.values)
        return options | {REQUEST_HEADERS: headers} if headers else options

    @property
    def wishes(self) -> Wishes:
        """Return how the file is to be read."""
        named = self.values.get("encoding")
        return Wishes(
            url_columns=tuple(filter(None, [self.values.get("url_columns")])),
            name_column=self.values.get("name_column"),
            id_column=self.values.get("id_column"),
            base_url=self.values.get("base_url"),
            encoding=known_encoding(named) if named else None,
            row_options=bool(self.values.get("row_options")),
            skip_bad_rows=self.values.get("on_row_error") == "skip",
        )


# Left out where they ask for nothing: earlier jobs, which lack them, have the same options.
_LATER_OPTIONS = {"formats": None, "min_score": None, "metadata": "none"}


def compression_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how images are to be compressed: as a form asks, and else by the settings."""
    settings = current_settings()
    default = {
        "compression_percentage": settings.compression_percentage,
        "effort": settings.effort,
        "min_score": settings.min_score,
        "metadata": settings.metadata,
    }
    options = {name: values.get(name, default.get(name)) for name in OPTION_NAMES}
    return {
        name: value
        for name, value in options.items()
        if name not in _LATER_OPTIONS or value != _LATER_OPTIONS[name]
    }


def read_form() -> UploadForm:
    """Read the form of the request; issues of its fields are collected, not raised.

    A field of the form that is left empty counts as left out, as browsers and the page of the
    interface send it. Not so in the URL, and not `dry_run`: there an empty variable of a script
    would start a job that was not intended.
    Raise NotMultipart for a body of another kind, before any of it is read.
    """
    if request.mimetype not in ("", MULTIPART):
        raise NotMultipart
    schema = UploadSchema()
    given = _given(schema)
    try:
        values, issues = schema.load(given), []
    except ValidationError as error:
        values = cast("dict[str, Any]", error.valid_data)
        issues = issues_of_fields(error.messages_dict, schema, given)
    return UploadForm(values.get("file"), values, [*issues, *_issues_of_request()])


def _given(schema: Schema) -> dict[str, Any]:
    """Return the files and the fields; of those with one name, the first in this order counts."""
    columns = [("url_columns", ",".join(request.form.getlist("url_columns")))]
    filled = [
        (name, value)
        for name, value in [*columns, *request.form.items()]
        if value or name == "dry_run" or name not in schema.fields
    ]
    return dict(MultiDict([*request.files.items(), *filled, *request.args.items()]).items())


def _issues_of_request() -> list[RequestIssue]:
    """Return the issues that no field has by itself: several files, and secrets in the URL."""
    issues = []
    if len(request.files.getlist("file")) > 1:
        issues.append(
            RequestIssue(
                "file",
                None,
                None,
                "several_files",
                "There are several files. Send one file at a time, or merge them into one.",
                None,
            )
        )
    for name in sorted(SECRETS & set(request.args)):
        advice = f"Send {name} as a field of the form, not in the URL: URLs are written to logs."
        issues.append(RequestIssue(name, None, None, f"exposed_{name}", advice, None))
    return issues
