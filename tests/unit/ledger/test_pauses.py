"""Who writes for long pauses now and then."""

from __future__ import annotations

import pytest

from imgcompress.ledger import pauses
from imgcompress.ledger.pauses import with_pauses


def test_others_get_a_turn_once_a_second_and_nothing_is_lost(
        monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(now[0])
        now[0] += seconds

    monkeypatch.setattr(pauses, "monotonic", lambda: now[0])
    monkeypatch.setattr(pauses, "sleep", sleep)
    written = []
    for part in with_pauses(iter(range(10))):
        written.append(part)
        now[0] += 0.4
    assert written == list(range(10))
    assert slept == pytest.approx([1.2, 2.5, 3.8])
