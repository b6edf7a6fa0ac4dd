"""The two forms of Retry-After, and what is neither."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imgcompress.net import parse_retry_after

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2),
        (" 120 ", 120),
        ("0", 0),
        ("99999", 300),
        ("9" * 5000, 300),
        ("Tue, 01 Jan 2030 12:00:30 GMT", 30),
        ("Tue, 01 Jan 2030 13:00:00 GMT", 300),
        ("Tue, 01 Jan 2030 11:00:00 GMT", 0),
        ("Tue, 01 Jan 2030 12:00:30 -0000", 30),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Tue, 01 Jan 2030 99999999999999999999:00:30 GMT", None),
        ("Tue, 01 Jan 2030 12:00:30 +99999999", None),
        ("Tue, 99 Jan 2030 12:00:30 GMT", None),
        ("Tue, 01 Jan 99999 12:00:30 GMT", None),
    ],
)
def test_the_header_is_read(value, seconds):
    assert parse_retry_after(value, now=NOW, limit=300) == seconds
