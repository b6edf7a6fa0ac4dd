"""Messages of the service as commands print them: with their own options and settings."""

from __future__ import annotations

import csv
import io
import re

import pytest

from imgcompress.api.errors import InvalidUpload
from imgcompress.cli.options import OPTION_FIELDS
from imgcompress.cli.wording import in_local_words, in_options, output_in_local_words
from imgcompress.csvfile.model import MESSAGES
from imgcompress.csvfile.urls import UrlRules
from imgcompress.errors import IMAGE_ERRORS

ALL = [*MESSAGES.values(), *(kind.advice for kind in IMAGE_ERRORS.values()), InvalidUpload.message]
# Words that make no sense to somebody who compresses on their own machine.
NO_SERVICE = r"upload|operator|this (installation|service)|workers?\b|retry the job|contact"
FIELDS = [name for name in OPTION_FIELDS if "_" in name]


@pytest.mark.parametrize("text", ALL)
def test_no_message_of_a_command_names_a_form_field(text: str) -> None:
    for shown in (in_options(text), in_local_words(text)):
        assert not any(re.search(rf"(?<!-){name}", shown) for name in FIELDS), shown
        assert "row_options" not in shown and "listed in errors" not in shown
        assert not re.search(r"[Ss]end (--|its name)|--\w+=", shown), shown


@pytest.mark.parametrize("text", ALL)
def test_no_message_of_a_local_run_speaks_of_uploads_and_operators(text: str) -> None:
    assert not re.search(NO_SERVICE, in_local_words(text))


@pytest.mark.parametrize("code", IMAGE_ERRORS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_error_in_an_output_csv_names_an_operator_or_a_service(
    code: str, delimiter: str
) -> None:
    kind = IMAGE_ERRORS[code]
    row = ["7", 'A "fine" lamp, small', f"2: {code}: HTTP 500. {kind.advice} | 3: {code}: x", "end"]
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerow(row)
    line = output_in_local_words(written.getvalue().encode()).decode()

    assert not re.search(NO_SERVICE, line)
    (read,) = csv.reader([line], delimiter=delimiter)
    assert read == [*row[:2], row[2].replace(kind.advice, in_local_words(kind.advice)), "end"]


@pytest.mark.parametrize("url", ["photos/lamp.jpg", "file:///home/me/lamp.jpg", "C:\\lamp.jpg"])
def test_no_reason_of_a_row_in_an_output_csv_names_a_service(url: str) -> None:
    issue = UrlRules(lambda _url: None, OneUrl()).issue_of(url)
    assert issue is not None and re.search(NO_SERVICE, issue[1])
    line = output_in_local_words(f'7,{url},,"1: {issue[0]}: {issue[1]}"\r\n'.encode()).decode()

    assert not re.search(NO_SERVICE, line)
    assert len(next(csv.reader([line]))) == 4


class OneUrl:
    def split(self, cell: str) -> tuple[str, ...]:
        return (cell,)


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
