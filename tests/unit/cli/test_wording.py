"""Messages of the service as commands print them: with their own options and settings."""

from __future__ import annotations

import re

import pytest

from imgcompress.api.errors import InvalidUpload
from imgcompress.cli.options import OPTION_FIELDS
from imgcompress.cli.wording import in_local_words, in_options
from imgcompress.csvfile.model import MESSAGES
from imgcompress.errors import IMAGE_ERRORS

ALL = [*MESSAGES.values(), *(kind.advice for kind in IMAGE_ERRORS.values()), InvalidUpload.message]
FIELDS = [name for name in OPTION_FIELDS if "_" in name]


@pytest.mark.parametrize("text", ALL)
def test_no_message_of_a_command_names_a_form_field(text: str) -> None:
    for shown in (in_options(text), in_local_words(text)):
        assert not any(re.search(rf"(?<!-){name}", shown) for name in FIELDS), shown
        assert "row_options" not in shown and "listed in errors" not in shown
        assert not re.search(r"[Ss]end (--|its name)|--\w+=", shown), shown


@pytest.mark.parametrize("text", ALL)
def test_no_message_of_a_local_run_speaks_of_uploads_and_operators(text: str) -> None:
    assert not re.search(r"upload|operator|this installation", in_local_words(text))


@pytest.mark.parametrize(
    "text, shown",
    [
        (
            "Send url_columns with the right ones, such as url_columns=a,b.",
            "Give --url-columns with the right ones, such as --url-columns a,b.",
        ),
        (
            "Send base_url with the upload, such as base_url=https://shop.example.com/media/, or"
            " enter full URLs.",
            "Give --base-url, such as --base-url https://shop.example.com/media/, or enter full"
            " URLs.",
        ),
        (
            "Send its actual encoding, or leave encoding out to have it detected.",
            "Give its actual encoding, or leave --encoding out to have it detected.",
        ),
        ("Its sheets are A. Send sheet with one.", "Its sheets are A. Give --sheet with one."),
        ("compression_percentage must be a number.", "--percent must be a number."),
        ("The file has columns called “img_url”.", "The file has columns called “img_url”."),
    ],
)
def test_fields_become_options(text: str, shown: str) -> None:
    assert in_options(text) == shown
