"""The error tree: public words for people, details for the log alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgcompress.errors import IMAGE_ERRORS, ImageError, ImageErrorKind

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "errors.md"


@pytest.mark.parametrize("kind", IMAGE_ERRORS.values(), ids=lambda kind: kind.code)
def test_every_kind_of_error_gives_one_sentence_of_advice(kind: ImageErrorKind) -> None:
    assert kind.advice[0].isupper() and kind.advice.endswith(".")
    assert ". " not in kind.advice and "  " not in kind.advice


def test_the_public_message_shows_what_was_found_and_what_to_do() -> None:
    error = ImageError("source_status", "The server answered 403", detail="10.0.0.1 said no")
    assert error.message == (
        "The server answered 403. The server refused to send the image; open"
        " the URL in a browser to see why."
    )
    assert "10.0.0.1" not in error.message and "10.0.0.1" in str(error)


def test_one_case_of_an_error_can_differ_in_whether_a_retry_helps() -> None:
    assert ImageError("source_status").retryable
    assert not ImageError("source_status", retryable=False).retryable


def test_an_unknown_code_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        ImageError("no_such_code")


def test_the_document_has_every_code_with_its_advice() -> None:
    rows = [
        f"| `{kind.code}` | {kind.advice} | {'yes' if kind.retryable else 'no'} |"
        for kind in IMAGE_ERRORS.values()
    ]
    found = [
        line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    assert found == rows, f"The table of {DOCUMENT.name} has to be:\n" + "\n".join(rows)


def test_the_document_names_the_codes_that_are_grouped_by_what_was_found() -> None:
    grouped = [code for code, kind in IMAGE_ERRORS.items() if kind.grouped_by_found]
    sentence = DOCUMENT.read_text(encoding="utf-8").partition("`found` is set for ")[2]
    assert re.findall("`([a-z_]+)`", sentence.partition(".")[0]) == grouped
