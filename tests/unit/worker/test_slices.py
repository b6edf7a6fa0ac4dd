"""A slice in hand: while the ledger is away, results are kept and not thrown away."""

from __future__ import annotations

from uuid import uuid4

import pytest

from imgcompress.config import load_settings
from imgcompress.errors import ImageError, LedgerUnavailable
from imgcompress.ledger.hosts import Source
from imgcompress.ledger.results import Result
from imgcompress.ledger.slices import Claim, PendingImage
from imgcompress.worker import process, slices
from imgcompress.worker.process import retry_while_unavailable
from imgcompress.worker.slices import BATCH_IMAGES, ActiveSlice, SliceImage


class FlakyLedger:
    """Takes results, except while it is away."""

    def __init__(self) -> None:
        self.away = False
        self.results: list[Result] = []
        self.released = 0

    def record(self, claim: Claim, results: list[Result], *, lease_seconds: float) -> bool:
        if self.away:
            raise LedgerUnavailable()
        self.results += results
        return False

    def record_and_release(
        self,
        claim: Claim,
        results: list[Result],
        *,
        delay_seconds: float,
    ) -> bool:
        self.record(claim, results, lease_seconds=0.0)
        self.released += 1
        return True

    def release(self, claim: Claim, *, delay_seconds: float) -> bool:
        self.released += 1
        return True


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FlakyLedger:
    """Return a ledger that can go away."""
    ledger = FlakyLedger()
    monkeypatch.setattr(slices, "record_results", ledger.record)
    monkeypatch.setattr(slices, "record_and_release", ledger.record_and_release)
    monkeypatch.setattr(slices, "release_slice", ledger.release)
    return ledger


@pytest.fixture
def full(ledger: FlakyLedger, monkeypatch: pytest.MonkeyPatch) -> ActiveSlice:
    """Return a slice with as many results as make a write due."""
    monkeypatch.setattr(slices, "current_settings", lambda: load_settings(None))
    full = ActiveSlice(Claim(uuid4(), 0, 1, 0, 0, 49, {}, "http://service.test", False))
    for ordinal in range(BATCH_IMAGES):
        image = PendingImage(uuid4(), ordinal, 2, "https://a.test/", 0, False)
        item = SliceImage(full, image, Source("", "a.test"))
        full.unfinished.add(item)
        full.add(item, ImageError("corrupt_image"))
    monkeypatch.setattr(slices, "publish_due_deliveries", lambda: None)
    monkeypatch.setattr(slices, "log_end", lambda _: None)
    return full


def test_results_outlast_a_ledger_that_is_away(ledger: FlakyLedger, full: ActiveSlice) -> None:
    ledger.away = True
    full.write_if_due()
    assert ledger.results == []
    ledger.away = False
    full.write_if_due()
    assert len(ledger.results) == BATCH_IMAGES


def test_a_ledger_that_stays_away_ends_the_work(
    ledger: FlakyLedger, full: ActiveSlice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.away = True
    monkeypatch.setattr(slices, "HOLD_SECONDS", -1.0)
    with pytest.raises(LedgerUnavailable):
        full.write_if_due()


def test_the_last_results_go_with_the_end_of_the_claim(
    ledger: FlakyLedger, full: ActiveSlice
) -> None:
    full.release(0.0)
    assert (len(ledger.results), ledger.released, full.closed_job) == (BATCH_IMAGES, 1, True)


def test_a_claim_ends_once_the_ledger_is_back(
    ledger: FlakyLedger, full: ActiveSlice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "retry_while_unavailable", lambda act: act())
    ledger.away = True
    with pytest.raises(LedgerUnavailable):
        full.release(0.0)
    ledger.away = False
    full.release(0.0)
    full.release(0.0)
    assert (len(ledger.results), ledger.released) == (BATCH_IMAGES, 2)


def test_retries_while_unavailable_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PAUSE_SECONDS", 0.0)
    answers = iter([LedgerUnavailable(), LedgerUnavailable(), "done"])

    def act() -> str:
        answer = next(answers)
        if isinstance(answer, LedgerUnavailable):
            raise answer
        return answer

    assert retry_while_unavailable(act) == "done"
    with pytest.raises(LedgerUnavailable):
        retry_while_unavailable(lambda: (_ for _ in ()).throw(LedgerUnavailable()), seconds=-1)
