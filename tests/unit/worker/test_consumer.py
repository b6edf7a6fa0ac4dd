"""A worker asks for its broker every few seconds, however long that has been away."""

from __future__ import annotations

from types import SimpleNamespace

import kombu
import pytest

from imgcompress.worker.consumer import CONNECT_PAUSE_SECONDS, Consumer

from tests.support.service import free_port

MINUTE = 60.0


class Enough(Exception):
    """The test has waited for long enough."""


def test_a_broker_that_was_away_for_long_is_found_again_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        if slept >= MINUTE:
            raise Enough

    monkeypatch.setattr("kombu.utils.functional.sleep", sleep)
    consumer = Consumer.__new__(Consumer)
    consumer.app = SimpleNamespace(
        conf=SimpleNamespace(
            broker_connection_max_retries=None,
            broker_connection_retry=True,
            broker_connection_retry_on_startup=True,
        )
    )
    consumer.first_connection_attempt = False
    consumer.broker_connection_retry_attempt = 0
    with pytest.raises(Enough):
        consumer.ensure_connected(kombu.Connection(f"redis://127.0.0.1:{free_port()}/0"))
    assert consumer.broker_connection_retry_attempt >= MINUTE / CONNECT_PAUSE_SECONDS - 1
