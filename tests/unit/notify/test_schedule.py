"""The schedule of repeated deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from imgcompress.config import load_settings
from imgcompress.notify.schedule import next_attempt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAUSES = load_settings(None).webhook_retry_pauses


def test_the_pauses_are_those_of_the_specification() -> None:
    minute, hour = 60, 3600
    assert PAUSES == (5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour,
                      20 * hour, 24 * hour)


@pytest.mark.parametrize("attempt, pause", list(enumerate(PAUSES, start=1)))
def test_each_pause_is_the_specified_one_within_the_jitter(attempt: int, pause: float) -> None:
    due = next_attempt(NOW, attempt, None, PAUSES)
    assert due is not None
    assert 0.8 * pause <= (due - NOW).total_seconds() <= 1.2 * pause


def test_the_schedule_ends_after_the_tenth_attempt() -> None:
    assert next_attempt(NOW, 10, None, PAUSES) is None


def test_a_receiver_can_ask_for_a_longer_pause_of_up_to_a_day() -> None:
    assert next_attempt(NOW, 1, 600, PAUSES) == NOW + timedelta(seconds=600)
    assert next_attempt(NOW, 1, 10 ** 9, PAUSES) == NOW + timedelta(days=1)


def test_a_receiver_cannot_shorten_the_pause() -> None:
    due = next_attempt(NOW, 2, 1, PAUSES)
    assert due is not None and due - NOW >= timedelta(seconds=240)
