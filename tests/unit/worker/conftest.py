"""What the tests of a worker have in common."""

from __future__ import annotations

import math

import pytest

from imgcompress.ledger import session


@pytest.fixture(autouse=True)
def no_trouble_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process not remember that the database of an earlier test failed."""
    monkeypatch.setattr(session, "_met_trouble_at", -math.inf)
