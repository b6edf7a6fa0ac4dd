"""The sums of metrics: added to by many processes at once, and exact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from imgcompress.errors import LedgerUnavailable
from imgcompress.ledger import metrics
from imgcompress.ledger.metrics import add_values, read_values, save_share
from imgcompress.ledger.session import writing
from imgcompress.metrics import FETCH, HTTP, IMAGES_ENDED, SHARE

from tests.support.parallel import in_parallel

OK, LOST = IMAGES_ENDED.sample("target_met", ""), IMAGES_ENDED.sample("failed", "dns_failed")


@pytest.fixture(autouse=True)
def _clean_share() -> Iterator[None]:
    SHARE.take()
    yield
    SHARE.take()


def test_values_are_added_up(app: Flask) -> None:
    for values in ({OK: 2.0, LOST: 1.0}, {}, {OK: 3.0}):
        with writing() as session:
            add_values(session, values)

    assert read_values() == {OK: 5, LOST: 1}


def test_labels_keep_whatever_they_hold(app: Flask) -> None:
    sample = HTTP.sum("GET", '/a/<b>,"c"\n', "200")
    with writing() as session:
        add_values(session, {sample: 0.25})
    assert read_values() == {sample: 0.25}


def test_processes_that_add_at_once_lose_nothing(app: Flask) -> None:
    def add(number: int) -> None:
        # In an order of its own, as another process may come by them.
        samples = (OK, LOST) if number % 2 else (LOST, OK)
        with app.app_context():
            for _ in range(5):
                with writing() as session:
                    add_values(session, {sample: 1.0 for sample in samples})

    in_parallel(add, 4)
    assert read_values() == {OK: 20, LOST: 20}


def test_the_share_of_a_process_is_saved_once(app: Flask) -> None:
    FETCH.observe(0.3, "ok")
    save_share()
    save_share()

    assert read_values() == {FETCH.bucket(4, "ok"): 1, FETCH.sum("ok"): 0.3}


def test_a_share_that_cannot_be_saved_is_kept(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LedgerUnavailable()

    FETCH.observe(0.3, "ok")
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "add_values", fail)
        save_share()
    assert read_values() == {}
    save_share()
    assert read_values()[FETCH.sum("ok")] == 0.3
