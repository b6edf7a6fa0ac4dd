"""The schedule of repeated deliveries."""

from __future__ import annotations

import pytest

from imgcompress.config import load_settings
from imgcompress.notify.webhook import next_pause

PAUSES = load_settings(None).webhook_retry_pauses


def test_the_pauses_are_those_of_the_specification() -> None:
    minute, hour = 60, 3600
    assert PAUSES == (
        5,
        5 * minute,
        30 * minute,
        2 * hour,
        5 * hour,
        10 * hour,
        14 * hour,
        20 * hour,
        24 * hour,
    )


@pytest.mark.parametrize("attempt, pause", list(enumerate(PAUSES, start=1)))
def test_each_pause_is_the_specified_one_within_the_jitter(attempt: int, pause: float) -> None:
    found = next_pause(attempt, None, PAUSES)
    assert found is not None
    assert 0.8 * pause <= found <= 1.2 * pause


def test_the_schedule_ends_after_the_tenth_attempt() -> None:
    assert next_pause(10, None, PAUSES) is None


def test_a_receiver_can_ask_for_a_longer_pause_of_up_to_a_day() -> None:
    assert next_pause(1, 600, PAUSES) == 600
    assert next_pause(1, 10**9, PAUSES) == 86_400


def test_a_receiver_cannot_shorten_the_pause() -> None:
    found = next_pause(2, 1, PAUSES)
    assert found is not None and found >= 240
