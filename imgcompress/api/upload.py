"""`POST /upload`: take a CSV, validate it, and create its job."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from email.headerregistry import Address
from functools import partial
from hashlib import file_digest, sha256
from io import BufferedIOBase
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, BinaryIO, cast
from uuid import UUID

from flask import Response, g, jsonify, request
from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.datastructures import FileStorage, MultiDict

from ..config import check_webhook_secret
from ..csvfile import (
    OUTPUT_COLUMNS,
    OUTPUTS,
    BadCatalogue,
    CatalogueLimits,
    Table,
    Validation,
    Wishes,
    kept_layout,
    known_encoding,
    opened_table,
    parse_effort,
    parse_format,
    parse_formats,
    parse_metadata,
    parse_output_columns,
    read_preview,
    validate_file,
)
from ..errors import LedgerUnavailable
from ..extensions import base_url, current_extension, current_settings
from ..ledger.bulk import time_ordered_ids
from ..ledger.idempotency import KeyClaim, claim_key, free_key, keep_answer
from ..ledger.intake import Condition, NewJob
from ..ledger.jobs import check_job_quota, check_quota
from ..ledger.models import JobStatus
from ..ledger.slices import REQUEST_HEADERS
from ..links import job_url
from ..logs import bind
from ..options import BOUNDS, EFFORTS, FORMATS, METADATA, OPTION_NAMES, OUTPUT_FORMATS
from ..tracing import UPLOAD, record
from ..worker.intake import (
    TableNotFetched,
    clean_name,
    fetch_table,
    fetched_name,
    kept_reading,
    refusal_of,
    take_in,
)
from ..worker.queue import publish_slices
from . import request_headers
from . import since as comparison
from .auth import current_owner
from .errors import (
    ISSUES_SHOWN,
    SECRETS,
    VALUE_CHARS,
    InvalidRequest,
    InvalidUpload,
    NotMultipart,
    RequestIssue,
    TooManyFetches,
    issues_of_fields,
    issues_of_file,
)
from .openapi import Blueprint, links_to
from .request_headers import headers_of
from .schemas import FaultSchema, ReadingSchema

MAX_EMAIL_CHARS = 320
MAX_READING_CHARS = 10_000

NO_FILE = (
    "No file was sent. Send the CSV as a file in the form field “file”; with curl: -F"
    " file=@products.csv. Or send its URL as csv_url."
)
TWO_FILES = "Send file or csv_url, not both."
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
NOTHING_TO_SIGN = "webhook_secret needs a webhook_url. Give both, or neither."


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
    reason = refusal_of(current_settings(), url)
    if reason is not None:
        raise ValidationError(reason)


def _must_be_a_file(value: Any) -> None:
    if not isinstance(value, FileStorage) or not value.filename:
        raise ValidationError(NO_FILE)


def callable_url(example: str) -> Callable[[str], None]:
    """Return the validator of a URL that this service calls; `example` is named to who errs."""

    def check(url: str) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise ValidationError(NO_SCHEME.format(example=example))
        if refusal_of(current_settings(), url) is not None:
            raise ValidationError(NOT_CALLABLE)

    return check


def _must_be_an_address(value: str) -> None:
    check = validate.And(
        validate.Length(max=MAX_EMAIL_CHARS, error="email is too long for an e-mail address."),
        validate.Email(error=NO_ADDRESS),
    )
    check(value)
    try:
        Address(addr_spec=value)  # Text that cannot be a mail header is refused here.
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


class _Formats(fields.String):
    """A list of output formats, as parse_formats returns it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        formats = parse_formats(super()._deserialize(value, attr, data, **kwargs))
        if formats is None:
            raise ValidationError(
                f"formats must be some of {', '.join(OUTPUT_FORMATS)}, separated by commas."
            )
        return formats


class _OutputColumns(fields.String):
    """A list of further columns, as parse_output_columns returns it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        names = parse_output_columns(super()._deserialize(value, attr, data, **kwargs))
        if names is None:
            raise ValidationError(
                f"output_columns must be some of {', '.join(OUTPUT_COLUMNS)}, separated by commas."
            )
        return names


class _Effort(fields.String):
    """An effort in letters of any case; one that is not known is left to the validator."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        name: str = super()._deserialize(value, attr, data, **kwargs)
        return parse_effort(name) or name


class _Metadata(fields.String):
    """A choice in letters of any case; one that is not known is left to the validator."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        name: str = super()._deserialize(value, attr, data, **kwargs)
        return parse_metadata(name) or name


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
    user_agent = request_headers.user_agent()
    referer = request_headers.referer()
    accept_language = request_headers.accept_language()
    since = comparison.since()
    trust = comparison.trust()
    fresh = comparison.fresh()
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
        comparison.check_together(data)

    @validates_schema(skip_on_field_errors=True)
    def _something_to_sign(self, data: dict[str, Any], **_: Any) -> None:
        if "webhook_secret" in data and "webhook_url" not in data:
            raise ValidationError(NOTHING_TO_SIGN, "webhook_secret")


def form_like_upload(*names: str) -> Any:
    """Return a base for forms that have these fields of an upload, under the same rules."""
    return CompressionForm.from_dict({name: UploadSchema._declared_fields[name] for name in names})


def _warnings() -> fields.Field[Any]:
    return fields.List(
        fields.Nested(FaultSchema),
        required=True,
        metadata={
            "description": "Warnings about an accepted file: columns with URLs that are not read and,"
            " with `on_row_error=skip`, the first 100 errors of rows."
        },
    )


class AcceptedSchema(ReadingSchema):
    """The answer to an upload."""

    request_id = fields.UUID(
        required=True, metadata={"description": "The job's id, for all further calls."}
    )
    status = fields.String(required=True, metadata={"example": "PENDING"})
    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    status_url = fields.String(required=True, metadata={"format": "uri"})
    warnings = _warnings()


class PreviewRowSchema(Schema):
    """A row of the table as it is read."""

    row = fields.Integer(
        required=True,
        metadata={"description": "The row number, counted as in a spreadsheet.", "example": 2},
    )
    cells = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Its cells, in the order of the header; each is shortened to 200"
            " characters.",
            "example": ["mug", "Blue mug", "//cdn.example.com/mug.jpg"],
        },
    )
    images = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The first 10 image URLs that are read from the row.",
            "example": ["https://cdn.example.com/mug.jpg"],
        },
    )


class PreviewSchema(Schema):
    """The first rows of a table as they are read."""

    header_row = fields.Integer(
        required=True,
        metadata={"description": "The row with the names of the columns.", "example": 1},
    )
    header = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The names of the first 1,000 columns, from left to right.",
            "example": ["Handle", "Title", "Image Src"],
        },
    )
    image_columns = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The columns that hold image URLs, whether or not they are read.",
            "example": ["Image Src"],
        },
    )
    rows = fields.List(
        fields.Nested(PreviewRowSchema),
        required=True,
        metadata={"description": "The first 5 rows that are not blank."},
    )


class DryRunSchema(ReadingSchema):
    """The answer to a dry run."""

    message = fields.String(required=True)
    total_rows = fields.Integer(required=True, metadata={"example": 2})
    total_images = fields.Integer(required=True, metadata={"example": 6})
    preview = fields.Nested(
        PreviewSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The first rows; null if the file could not be read as a table."},
    )
    errors = fields.List(
        fields.Nested(FaultSchema), required=True, metadata={"description": "The first 100 issues."}
    )
    warnings = _warnings()
    error_count = fields.Integer(required=True, metadata={"example": 0})


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
    issues += _issues_of_repeated() + _issues_of_exposed()
    return UploadForm(values.get("file"), values, issues)


def _given(schema: Schema) -> dict[str, Any]:
    """Return the files and the fields; of those with one name, the first in this order counts."""
    columns = [("url_columns", ",".join(request.form.getlist("url_columns")))]
    filled = [
        (name, value)
        for name, value in [*columns, *request.form.items()]
        if value or name == "dry_run" or name not in schema.fields
    ]
    return dict(MultiDict([*request.files.items(), *filled, *request.args.items()]).items())


def _issues_of_exposed() -> list[RequestIssue]:
    return [
        RequestIssue(
            name,
            None,
            None,
            f"exposed_{name}",
            f"Send {name} as a field of the form, not in the URL: URLs are written to logs.",
            None,
        )
        for name in sorted(SECRETS & set(request.args))
    ]


def _issues_of_repeated() -> list[RequestIssue]:
    if len(request.files.getlist("file")) < 2:
        return []
    return [
        RequestIssue(
            "file",
            None,
            None,
            "several_files",
            "There are several files. Send one file at a time, or merge them into one.",
            None,
        )
    ]


HEADER = "Idempotency-Key"
KEY_CHARS = 255
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "maxLength": KEY_CHARS},
    "description": "A text of your choice, such as a UUID. An upload repeated with the"
    " same key within 24 hours creates no second job and returns the first"
    " response.",
}
REPLAYED = {"Idempotency-Replayed": "true"}
# The answer to an upload: the body, which is kept for a repetition, the status, the headers.
Answer = tuple[dict[str, Any], int, dict[str, str]]


def answer_once(
    stream: BinaryIO | None, values: Mapping[str, Any], answer: Callable[[KeyClaim | None], Answer]
) -> Answer:
    """Answer an upload, or repeat the answer to the first one with its key.

    Without a stream the fields alone say whether it is the same upload: what is to be fetched may
    have changed since. `answer` keeps its answer with the claim that it is given. When it raises,
    the key is free for a better upload. Raise KeyInUse and KeyReused.
    """
    key = _key()
    if key is None:
        return answer(None)
    claim = claim_key(current_owner(), key, _fingerprint(stream, values))
    return _answer_under_claim(claim, answer) if isinstance(claim, KeyClaim) else _replay(claim)


def _answer_under_claim(claim: KeyClaim, answer: Callable[[KeyClaim | None], Answer]) -> Answer:
    try:
        return answer(claim)
    except BaseException:
        # With the ledger away, the lease frees the key.
        with suppress(LedgerUnavailable):
            free_key(claim)
        raise


def _replay(body: dict[str, Any]) -> Answer:
    return body, 202, {"Location": body["status_url"], **REPLAYED}


def _key() -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= KEY_CHARS and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            [
                RequestIssue(
                    HEADER,
                    None,
                    None,
                    "invalid_idempotency_key",
                    f"{HEADER} must be 1 to {KEY_CHARS}"
                    " printable ASCII characters, such as a UUID.",
                    key[:VALUE_CHARS],
                )
            ]
        )
    return key


def _fingerprint(stream: BinaryIO | None, values: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of the file and the other fields."""
    file = None
    if stream is not None:
        stream.seek(0)
        file = file_digest(cast("BufferedIOBase", stream), sha256).hexdigest()
        stream.seek(0)
    fields = {name: value for name, value in values.items() if name != "file"}
    return sha256(json.dumps([file, fields], sort_keys=True, default=str).encode()).hexdigest()


log = logging.getLogger(__name__)

# Each occupies a thread of the web server; the limit is per process.
MOST_AT_ONCE = 32
MOST_OF_OWNER = 8


@contextmanager
def with_table(form: UploadForm) -> Iterator[UploadForm]:
    """Yield the form with the table fetched from its `csv_url` as its file, or with an issue.

    A form that has a file, or no good `csv_url`, stays as it is. Raise TooManyFetches.
    """
    if form.csv_url is None:
        yield form
        return
    with TemporaryFile() as file:
        try:
            with _place(current_owner() or ""):
                fetched = fetch_table(
                    current_settings(), form.csv_url, file, headers_of(form.values)
                )
        except TableNotFetched as error:
            log.info("A table could not be fetched: %s", error)
            issue = RequestIssue("csv_url", None, None, error.code, error.message, None)
            yield replace(form, issues=[*form.issues, issue])
            return
        yield replace(form, file=FileStorage(cast("IO[bytes]", file), fetched_name(fetched)))


_lock = Lock()
_under_way: Counter[str] = Counter()


@contextmanager
def _place(owner: str) -> Iterator[None]:
    """Hold one of the places for tables that are fetched. Raise TooManyFetches."""
    with _lock:
        if _under_way.total() >= MOST_AT_ONCE or _under_way[owner] >= MOST_OF_OWNER:
            raise TooManyFetches()
        _under_way[owner] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[owner] -= 1
            if not _under_way[owner]:
                del _under_way[owner]


blueprint = Blueprint("upload", __name__, description="Upload a CSV of image URLs.")

ACCEPTED = "Upload accepted. Poll status_url for progress."
NO_ISSUES = "No issues found. Nothing was stored; upload the file without dry_run to start the job."
WITH_ISSUES = (
    "The upload cannot be accepted as it is. Nothing was stored; fix the issues listed in errors."
)
LOCATION = {
    "Location": {
        "description": "The address of the job's status.",
        "schema": {"type": "string", "format": "uri"},
    }
}
NEXT = links_to(
    "getStatus",
    "getDetails",
    "downloadCsv",
    "downloadArchive",
    "getWebhooks",
    "redeliverWebhook",
    "cancelJob",
    "retryJob",
    "deleteJob",
)


@blueprint.route("/upload", methods=["POST"], any_query=True)
@blueprint.doc(
    operationId="upload",
    parameters=[PARAMETER],
    responses={202: {"links": NEXT}},
    requestBody={"required": True, "content": {"multipart/form-data": {"schema": UploadSchema}}},
)
@blueprint.response(202, AcceptedSchema, headers=LOCATION)
@blueprint.alt_response(200, schema=DryRunSchema, description="The result of a dry run.")
@blueprint.problems(400, 409, 413, 415, 422, 429, 503)
def upload() -> Any:
    """Upload a CSV

    The CSV is sent as `file`, or fetched from `csv_url`. Every image in it is fetched, compressed
    and stored. The response comes at once; the work is done in the background. Options can also be
    sent in the query string.
    """
    form = read_form()
    if form.csv_url is None or form.issues or form.values.get("dry_run"):
        return _upload(form)
    check_job_quota(current_owner(), current_settings().max_active_jobs)
    return answer_once(None, form.values, partial(_upload, form))


def _upload(form: UploadForm, claim: KeyClaim | None = None) -> Any:
    with with_table(form) as complete:
        return _take(complete, claim)


def _take(form: UploadForm, claim: KeyClaim | None) -> Any:
    if form.file is None:
        raise InvalidUpload(form.issues)
    limits = CatalogueLimits(max_images=current_settings().max_images_per_job)
    stream = cast("BinaryIO", form.file.stream)
    with ExitStack() as opened:
        try:
            table = opened.enter_context(
                opened_table(
                    stream, limits, current_settings().max_upload_bytes, form.values.get("sheet")
                )
            )
        except BadCatalogue as bad:
            table, found = Table(stream), Validation(0, 0, (bad.issue,), 1)
        else:
            found = validate_file(
                table.csv, limits, partial(refusal_of, current_settings()), form.wishes
            )
            if table.warning:
                found = replace(found, warnings=(*found.warnings, table.warning))
        return _answer(form, stream, table, found, claim)


def _answer(
    form: UploadForm,
    stream: BinaryIO,
    table: Table,
    found: Validation,
    claim: KeyClaim | None,
) -> Any:
    issues = [*form.issues, *issues_of_file(found.issues)]
    issue_count = len(form.issues) + found.issue_count
    if form.values.get("dry_run"):
        return _dry_run(table, found, issues, issue_count)
    if issues:
        raise InvalidUpload(issues, issue_count)
    accept = partial(_accept, form, table, found)
    # For a table that was fetched, the key was claimed before.
    return accept(claim) if form.csv_url else answer_once(stream, form.values, accept)


def _dry_run(
    table: Table, found: Validation, issues: list[RequestIssue], issue_count: int
) -> Response:
    return jsonify(
        DryRunSchema().dump(
            {
                "message": WITH_ISSUES if issues else NO_ISSUES,
                "total_rows": found.total_rows,
                "total_images": found.total_images,
                **_reading(table, found),
                "preview": read_preview(table.csv, found.layout) if found.layout else None,
                "errors": issues[:ISSUES_SHOWN],
                "error_count": issue_count,
            }
        )
    )


def _reading(table: Table, found: Validation) -> dict[str, Any]:
    """Return how the file was read, for the answer."""
    layout = found.layout if found.layout and found.layout.chosen else None
    kept = kept_layout(layout) if layout else {}
    schema = FaultSchema(many=True)
    return {
        "layout": kept.get("layout"),
        "columns": kept.get("columns"),
        "skipped_rows": found.skipped_rows,
        "download_format": (table.ending or ".csv").removeprefix("."),
        "warnings": schema.dump(issues_of_file(found.warnings)),
    }


def _accept(
    form: UploadForm,
    table: Table,
    found: Validation,
    claim: KeyClaim | None,
) -> Answer:
    owner = current_owner()
    job = NewJob(
        # The rows of the newest job go to the end of each index that begins with its id.
        request_id=UUID(time_ordered_ids(1)[0]),
        source_filename=form.filename,
        options=form.options,
        base_url=base_url(),
        total_rows=found.total_rows,
        total_images=found.total_images,
        reading=kept_reading(
            table, found, form.values["output"], form.values.get("output_columns")
        ),
        owner=owner,
        webhook_url=form.values.get("webhook_url"),
        webhook_secret=form.values.get("webhook_secret"),
        email=form.values.get("email"),
        **comparison.comparison_of(form.values, form.options),
    )
    bind(request_id=job.request_id)
    status_url = job_url(job.base_url, "status", job.request_id)
    body = {
        "request_id": str(job.request_id),
        "status": JobStatus.PENDING,
        "message": ACCEPTED,
        "total_rows": job.total_rows,
        "total_images": job.total_images,
        "status_url": status_url,
        **_reading(table, found),
    }
    # With the ledger away, or no room for one more job, there is no reason to store the file.
    check_job_quota(owner, current_settings().max_active_jobs)
    take_in(
        current_settings(),
        current_extension("storage"),
        job,
        table,
        found,
        conditions=_conditions(owner, claim, body),
    )
    record(
        UPLOAD,
        job.request_id,
        time.monotonic() - g.call_began,
        rows=job.total_rows,
        images=job.total_images,
    )
    publish_slices(job.request_id)
    return body, 202, {"Location": status_url}


def _conditions(owner: str | None, claim: KeyClaim | None, body: dict[str, Any]) -> list[Condition]:
    """Return the conditions and the rows that are written with the job, in one transaction."""
    conditions: list[Condition] = []
    if owner is not None:
        most = current_settings().max_active_jobs
        conditions.append(partial(check_quota, owner=owner, most=most))
    if claim is not None:
        conditions.append(partial(keep_answer, claim=claim, answer=body))
    return conditions
