"""The form of an upload: the accepted values of each field, and their meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any, cast

from flask import request
from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import FileStorage, MultiDict

from ..catalogue import BOUNDS, EFFORTS, FORMATS, METADATA, OPTION_NAMES, OUTPUT_FORMATS
from ..csvfile import (
    OUTPUT_COLUMNS,
    OUTPUTS,
    Wishes,
    known_encoding,
    parse_effort,
    parse_format,
    parse_formats,
    parse_metadata,
    parse_output_columns,
)
from ..extensions import current_settings
from ..ledger import queries
from ..ledger.changes import latest_job
from ..ledger.slices import REQUEST_HEADERS
from ..links import parse_id
from ..setting_parsers import check_webhook_secret
from ..worker.intake import clean_name, url_error
from .errors import SECRETS, NotMultipart, RequestIssue, issues_of_fields
from .middleware import current_owner

MAX_EMAIL_CHARS = 320
MAX_READING_CHARS = 10_000

NO_FILE = (
    "No file was sent. Send the CSV as a file in the form field “file”; with curl: -F"
    " file=@products.csv. Or send its URL as csv_url."
)
NO_SCHEME = "The URL must start with http:// or https://. Give the full URL, such as {example}."
NOT_CALLABLE = (
    "This service may not send requests to this URL. Use a public http or https URL, or"
    " ask the operator to allow the network or port."
)
EXAMPLE_TABLE = "https://shop.example.com/export/products.csv"
EXAMPLE_HOOK = "https://shop.example.com/hooks/images"
NO_ADDRESS = "email must be an e-mail address, such as team@example.com."
NO_MAIL = (
    "This installation sends no e-mail, because SMTP_URL is not set. Leave email out, and"
    " give a webhook_url or poll the status."
)


def _short_enough(name: str) -> validate.Length:
    return validate.Length(
        1,
        MAX_READING_CHARS,
        error=f"{name} must have 1 to {MAX_READING_CHARS:,} characters, or be left out.",
    )


def _whole_number(name: str, description: str) -> fields.Integer:
    low, high = BOUNDS[name]
    message = f"{name} must be a whole number from {low} to {high:,}."
    return fields.Integer(
        error_messages={"invalid": message, "null": message, "too_large": message},
        validate=validate.Range(low, high, error=message),
        metadata={"description": description},
    )


def _must_be_known_encoding(value: str) -> None:
    if known_encoding(value) is None:
        raise ValidationError(
            "encoding must be the name of an encoding, such as utf-8,"
            " windows-1251, shift_jis or gbk."
        )


def _must_be_a_base(url: str) -> None:
    if not url.lower().startswith(("http://", "https://")) or "?" in url or "#" in url:
        raise ValidationError(
            "base_url must be the URL of a folder, such as https://shop.example.com/media/."
        )
    reason = url_error(current_settings(), url)
    if reason is not None:
        raise ValidationError(reason)


def _must_be_a_file(value: Any) -> None:
    if not isinstance(value, FileStorage) or not value.filename:
        raise ValidationError(NO_FILE)


def callable_url(example: str) -> Callable[[str], None]:
    """Return the validator of a URL that this service calls; `example` stands in the message."""

    def check(url: str) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise ValidationError(NO_SCHEME.format(example=example))
        if url_error(current_settings(), url) is not None:
            raise ValidationError(NOT_CALLABLE)

    return check


def _must_be_an_address(value: str) -> None:
    check = validate.And(
        validate.Length(max=MAX_EMAIL_CHARS, error="email is too long for an e-mail address."),
        validate.Email(error=NO_ADDRESS),
    )
    check(value)
    try:
        Address(addr_spec=value)  # Text that cannot be a mail header is rejected here.
    except (ValueError, IndexError) as error:
        raise ValidationError(NO_ADDRESS) from error
    if current_settings().smtp_server is None:
        raise ValidationError(NO_MAIL)


def _must_be_a_secret(value: str) -> None:
    try:
        check_webhook_secret(value)
    except ValueError as error:
        raise ValidationError(f"webhook_secret {error}.") from error


class _Parsed(fields.String):
    """A text converted by `parse`; one that it rejects is left to the validator, or to `error`."""

    def __init__(
        self, parse: Callable[[str], str | None], error: str | None = None, **about: Any
    ) -> None:
        super().__init__(**about)
        self._parse, self._error = parse, error

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        parsed = self._parse(text)
        if parsed is None and self._error:
            raise ValidationError(self._error)
        return text if parsed is None else parsed


# Each field, and the header that it becomes.
HEADER_FIELDS = {
    "user_agent": "User-Agent",
    "referer": "Referer",
    "accept_language": "Accept-Language",
}

USER_AGENT = (
    "user_agent must be a text of at most 500 plain characters (ASCII), such as"
    " “ShopBot/1.0 (+https://shop.example.com/bot)”."
)
REFERER = (
    "referer must be the URL of a page, http:// or https://, of at most 2,000 plain"
    " characters (ASCII) and without a user name."
)
ACCEPT_LANGUAGE = (
    "accept_language must be a list of languages of at most 200 characters, such as"
    " “de-DE,de;q=0.9,en;q=0.5”."
)


def _header_field(pattern: str, advice: str, about: dict[str, Any]) -> fields.String:
    # `\\Z`, since `$` would let a new line pass, and with it another header.
    return fields.String(
        validate=validate.And(
            validate.Length(max=about["maxLength"], error=advice),
            validate.Regexp(rf"(?:{pattern})\Z", error=advice),
        ),
        metadata=about,
    )


LATEST = "latest"
UNKNOWN_JOB = (
    "since must be “latest”, or the request_id of one of your jobs. List them with GET /job, or"
    " leave since out to compress all images."
)
BAD_TRUST = (
    "trust must be a number of minutes, hours or days, such as 30m, 12h or 30d, and at most 365d."
)
TRUST_ALONE = "{name} needs since: it says how the results of an earlier job are taken over."
TRUST_AND_FRESH = "Give trust or fresh=true, not both: fresh=true fetches every image again."
_TRUST = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
MAX_TRUST_SECONDS = 365 * 86_400


def trust_seconds(text: str) -> int | None:
    """Return the seconds of a span such as `30d`, or None for any other text."""
    match = _TRUST.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    return seconds if 0 < seconds <= MAX_TRUST_SECONDS else None


def _must_be_a_job(value: str) -> None:
    if value == LATEST:
        return
    request_id = parse_id(value)
    if request_id is None or queries.find_job(request_id, current_owner()) is None:
        raise ValidationError(UNKNOWN_JOB)


def _must_be_a_span(value: str) -> None:
    if trust_seconds(value) is None:
        raise ValidationError(BAD_TRUST)


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

    Defaults are functions, which keeps them out of the document: openapi-typescript treats a field
    with a default as required.
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
            "description": "Prepended to image paths and file names without a host.",
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
            "description": "What to do about a row with an error: `refuse` the file (the default),"
            " or `skip` the row. With `skip`, a URL that cannot be fetched becomes a failed"
            " image, and the other images of its row are compressed."
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
    output_columns = _Parsed(
        parse_output_columns,
        f"output_columns must be some of {', '.join(OUTPUT_COLUMNS)}, separated by commas.",
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
    format = _Parsed(
        parse_format,
        validate=validate.OneOf(FORMATS, error=f"format must be one of {', '.join(FORMATS)}."),
        load_default=lambda: "keep",
        metadata={
            "description": "The format of the compressed images; `keep`, the default, keeps that of"
            " each original, and `auto` chooses for each image the one that needs the fewest"
            " bytes for the same visual quality. `jpg` means `jpeg`."
        },
    )
    formats = _Parsed(
        parse_formats,
        f"formats must be some of {', '.join(OUTPUT_FORMATS)}, separated by commas.",
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
    effort = _Parsed(
        parse_effort,
        validate=validate.OneOf(EFFORTS, error=f"effort must be one of {', '.join(EFFORTS)}."),
        metadata={
            "description": "How much time each image may take: `low`, `medium` or `high`. More time"
            " makes the images look better at the same size; `medium` unless the"
            " installation sets another default."
        },
    )
    min_score = _whole_number(
        "min_score",
        "The lowest score that an image may have, on the scale of `score` from 0 to 100: if the"
        " percentage would need a lower one, the image stays larger (`floor_reached`). It"
        " replaces the installation's lowest quality, and has no effect with a fixed `quality`.",
    )
    metadata = _Parsed(
        parse_metadata,
        validate=validate.OneOf(METADATA, error=f"metadata must be one of {', '.join(METADATA)}."),
        metadata={
            "description": "The metadata that the images keep: `none`, or `rights`, which is"
            " creator, copyright, licence and IPTC digital source type; `none` unless the"
            " installation sets another default."
        },
    )
    user_agent = _header_field(
        r"[!-~](?:[ -~]{0,498}[!-~])?",
        USER_AGENT,
        {
            "description": "The `User-Agent` sent to the hosts of the images; the service's own if"
            " left out.",
            "example": "ShopBot/1.0",
            "maxLength": 500,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    )
    referer = _header_field(
        r"https?://[^\s/?#@\x00-\x20\x7f-\U0010ffff]+(?:[/?#][!-~]*)?",
        REFERER,
        {
            "description": "The `Referer` sent to the hosts of the images; none if left out.",
            "format": "uri",
            "example": "https://shop.example.com/",
            "maxLength": 2000,
        },
    )
    accept_language = _header_field(
        r"[A-Za-z0-9*](?:[A-Za-z0-9*,;=. -]{0,198}[A-Za-z0-9*])?",
        ACCEPT_LANGUAGE,
        {
            "description": "The `Accept-Language` sent to the hosts of the images.",
            "example": "de-DE,de;q=0.9",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9*]([A-Za-z0-9*,;=. -]*[A-Za-z0-9*])?$",
        },
    )
    since = fields.String(
        validate=_must_be_a_job,
        metadata={
            "description": "Compress only what changed since an earlier job: its `request_id`, or"
            " `latest` for your newest ended job with the same options. Images that did not change"
            " keep their results.",
            "example": LATEST,
        },
    )
    trust = fields.String(
        validate=_must_be_a_span,
        metadata={
            "description": "With an earlier job: results younger than this are kept without asking"
            " their hosts. A number of minutes (`m`), hours (`h`) or days (`d`), at most `365d`.",
            "example": "30d",
            "pattern": "^[1-9][0-9]{0,5}[mhd]$",
        },
    )
    fresh = fields.Boolean(
        load_default=lambda: False,
        error_messages={"invalid": "fresh must be true or false."},
        metadata={
            "description": "With an earlier job: fetch every image in full and compare its content,"
            " for hosts whose answers about changes are wrong."
        },
    )
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
    """Return a base class for forms with these fields of an upload, under the same rules."""
    return CompressionForm.from_dict({name: UploadSchema._declared_fields[name] for name in names})


MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class UploadForm:
    """The file, if any, the valid values, and the issues of the others."""

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
        """Return the options for fetching and compressing images, as stored with the job."""
        options = compression_of(self.values)
        headers = headers_of(self.values)
        return options | {REQUEST_HEADERS: headers} if headers else options

    @property
    def wishes(self) -> Wishes:
        """Return the options for reading the file."""
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


# Left out if they are empty, so that the options equal those of earlier jobs, which lack them.
_LATER_OPTIONS = {"formats": None, "min_score": None, "metadata": "none"}


def compression_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for compressing images: those of a form, or else the settings."""
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


def headers_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the request headers set by the fields of an upload."""
    return {header: values[field] for field, header in HEADER_FIELDS.items() if field in values}


def comparison_of(values: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a NewJob that concern the comparison; empty without `since`."""
    named = values.get("since")
    if named is None:
        return {}
    return {
        "since_id": latest_job(current_owner(), options) if named == LATEST else parse_id(named),
        "trust_seconds": trust_seconds(values["trust"]) if "trust" in values else None,
        "fresh": bool(values.get("fresh")),
        "removed_images": 0,
    }


def read_form() -> UploadForm:
    """Read the form of the request; issues of its fields are collected, not raised.

    An empty field of the form counts as missing, as browsers and Swagger UI send it. Not so in the
    URL, and not `dry_run`: there an empty variable in a script would start an unintended job. Raise
    NotMultipart for a body of another type, before any of it is read.
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
    """Return the files and the fields; of several with one name, the first in this order counts."""
    columns = [("url_columns", ",".join(request.form.getlist("url_columns")))]
    filled = [
        (name, value)
        for name, value in [*columns, *request.form.items()]
        if value or name == "dry_run" or name not in schema.fields
    ]
    return dict(MultiDict([*request.files.items(), *filled, *request.args.items()]).items())


def _issues_of_request() -> list[RequestIssue]:
    """Return the issues of the request as a whole: several files, and secrets in the URL."""
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
