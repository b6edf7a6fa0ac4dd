"""The fields of an upload: what each accepts, and the message for what it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.headerregistry import Address
from typing import Any

from marshmallow import ValidationError, fields, validate
from werkzeug.datastructures import FileStorage

from ..csvfile import (
    OUTPUT_COLUMNS,
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
from ..links import parse_id
from ..options import BOUNDS, OUTPUT_FORMATS
from ..setting_parsers import check_webhook_secret
from ..worker.intake import url_error
from .auth import current_owner

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


def user_agent() -> fields.String:
    """Return the field for the User-Agent of image requests."""
    return _header_field(
        r"[!-~](?:[ -~]{0,498}[!-~])?",
        USER_AGENT,
        {
            "description": "The `User-Agent` sent to the hosts of the images; that of the service if"
            " left out.",
            "example": "ShopBot/1.0",
            "maxLength": 500,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    )


def referer() -> fields.String:
    """Return the field for the Referer of image requests."""
    return _header_field(
        r"https?://[^\s/?#@\x00-\x20\x7f-\U0010ffff]+(?:[/?#][!-~]*)?",
        REFERER,
        {
            "description": "The `Referer` sent to the hosts of the images; none if left out.",
            "format": "uri",
            "example": "https://shop.example.com/",
            "maxLength": 2000,
        },
    )


def accept_language() -> fields.String:
    """Return the field for the Accept-Language of image requests."""
    return _header_field(
        r"[A-Za-z0-9*](?:[A-Za-z0-9*,;=. -]{0,198}[A-Za-z0-9*])?",
        ACCEPT_LANGUAGE,
        {
            "description": "The `Accept-Language` sent to the hosts of the images.",
            "example": "de-DE,de;q=0.9",
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9*]([A-Za-z0-9*,;=. -]*[A-Za-z0-9*])?$",
        },
    )


def headers_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that the fields of an upload stand for."""
    return {header: values[field] for field, header in HEADER_FIELDS.items() if field in values}


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


def since() -> fields.String:
    """Return the field that names the earlier job."""
    return fields.String(
        validate=_must_be_a_job,
        metadata={
            "description": "Compress only what changed since an earlier job: its `request_id`, or"
            " `latest` for your newest ended job with the same options. Images that did not change"
            " keep their results.",
            "example": LATEST,
        },
    )


def trust() -> fields.String:
    """Return the field that says which results are taken over without a request."""
    return fields.String(
        validate=_must_be_a_span,
        metadata={
            "description": "With an earlier job: results younger than this are kept without asking"
            " their hosts. A number of minutes (`m`), hours (`h`) or days (`d`), at most `365d`.",
            "example": "30d",
            "pattern": "^[1-9][0-9]{0,5}[mhd]$",
        },
    )


def fresh() -> fields.Boolean:
    """Return the field that has every image fetched in full."""
    return fields.Boolean(
        load_default=lambda: False,
        error_messages={"invalid": "fresh must be true or false."},
        metadata={
            "description": "With an earlier job: fetch every image in full and compare its content,"
            " for hosts whose answers about changes are wrong."
        },
    )


def comparison_of(values: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return what a NewJob with these options keeps of the fields; empty without `since`."""
    named = values.get("since")
    if named is None:
        return {}
    return {
        "since_id": latest_job(current_owner(), options) if named == LATEST else parse_id(named),
        "trust_seconds": trust_seconds(values["trust"]) if "trust" in values else None,
        "fresh": bool(values.get("fresh")),
        "removed_images": 0,
    }


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
