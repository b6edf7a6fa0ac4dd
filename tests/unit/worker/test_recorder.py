"""The recorder: while the ledger is away, results are kept and not thrown away."""

from __future__ import annotations

from uuid import uuid4

import pytest

from imgcompress.errors import LedgerUnavailable
from imgcompress.ledger.results import Failure, Result
from imgcompress.ledger.slices import Claim, PendingImage
from imgcompress.worker import slices
from imgcompress.worker.slices import BATCH_IMAGES, ResultWriter, retry_while_unavailable


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
def full_recorder(ledger: FlakyLedger) -> ResultWriter:
    """Return a recorder with a batch that is due."""
    full = ResultWriter(Claim(uuid4(), 0, 1, 0, 0, 49, {}, "http://service.test", False), 30.0)
    for ordinal in range(BATCH_IMAGES):
        image = PendingImage(uuid4(), ordinal, 2, "https://a.test/", 0, False)
        full.add(Failure(image, "corrupt_image", "It is damaged."))
    return full


def test_results_outlast_a_ledger_that_is_away(
    ledger: FlakyLedger, full_recorder: ResultWriter
) -> None:
    ledger.away = True
    full_recorder.flush_if_due()
    assert ledger.results == []
    ledger.away = False
    full_recorder.flush_if_due()
    assert len(ledger.results) == BATCH_IMAGES


def test_a_ledger_that_stays_away_ends_the_work(
    ledger: FlakyLedger, full_recorder: ResultWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.away = True
    monkeypatch.setattr(slices, "HOLD_SECONDS", -1.0)
    with pytest.raises(LedgerUnavailable):
        full_recorder.flush_if_due()


def test_the_last_results_go_with_the_end_of_the_claim(
    ledger: FlakyLedger, full_recorder: ResultWriter
) -> None:
    full_recorder.release(0.0)
    assert (len(ledger.results), ledger.released, full_recorder.closed) == (BATCH_IMAGES, 1, True)


def test_a_claim_ends_once_the_ledger_is_back(
    ledger: FlakyLedger, full_recorder: ResultWriter
) -> None:
    ledger.away = True
    with pytest.raises(LedgerUnavailable):
        full_recorder.release(0.0)
    ledger.away = False
    full_recorder.release(0.0)
    full_recorder.release(0.0)
    assert (len(ledger.results), ledger.released) == (BATCH_IMAGES, 2)


def test_patience_tries_again_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAUSE_SECONDS", 0.0)
    answers = iter([LedgerUnavailable(), LedgerUnavailable(), "done"])

    def act() -> str:
        answer = next(answers)
        if isinstance(answer, LedgerUnavailable):
            raise answer
        return answer

    assert retry_while_unavailable(act) == "done"
    with pytest.raises(LedgerUnavailable):
        retry_while_unavailable(lambda: (_ for _ in ()).throw(LedgerUnavailable()), seconds=-1)
