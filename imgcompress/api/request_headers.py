"""The fields of an upload for the headers of its image requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

# Each field, and the header that it becomes.
REQUEST_HEADERS = {
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
    return _field(
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
    return _field(
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
    return _field(
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
    return {header: values[field] for field, header in REQUEST_HEADERS.items() if field in values}


def _field(pattern: str, advice: str, about: dict[str, Any]) -> fields.String:
    # `\\Z`, since `$` would let a new line pass, and with it another header.
    return fields.String(
        validate=validate.And(
            validate.Length(max=about["maxLength"], error=advice),
            validate.Regexp(rf"(?:{pattern})\Z", error=advice),
        ),
        metadata=about,
    )
