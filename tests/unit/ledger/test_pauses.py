"""Who writes for long pauses now and then."""

from __future__ import annotations

import pytest

from imgcompress.ledger import bulk
from imgcompress.ledger.bulk import yield_write_lock


def test_others_get_a_turn_once_a_second_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(now[0])
        now[0] += seconds

    monkeypatch.setattr(bulk, "monotonic", lambda: now[0])
    monkeypatch.setattr(bulk, "sleep", sleep)
    written = []
    for part in yield_write_lock(iter(range(10))):
        written.append(part)
        now[0] += 0.4
    assert written == list(range(10))
    assert slept == pytest.approx([1.2, 2.5, 3.8])
