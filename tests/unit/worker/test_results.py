"""Results on their way from the threads to the caller."""

from __future__ import annotations

import time

import pytest

from imgcompress.errors import ImageError, StorageUnavailable
from imgcompress.worker.pipeline import MANY, Results

# The caller's tick in these tests: nobody waits for so long.
LONG = 60.0


def _seconds_to_take(results: Results[int, int], tick: float) -> float:
    began = time.monotonic()
    results.take(tick)
    return time.monotonic() - began


def test_the_caller_takes_what_is_new() -> None:
    results = Results[int, int]()
    results.add(1, 10)
    results.add(2, 20)
    assert results and results.take(0) == [(1, 10), (2, 20)]
    assert not results and results.take(0) == []


def test_one_result_waits_for_the_tick() -> None:
    results = Results[int, int]()
    results.add(1, 10)
    assert _seconds_to_take(results, 0.1) >= 0.1


def test_many_results_wake_the_caller() -> None:
    results = Results[int, int]()
    for number in range(MANY):
        results.add(number, number)
    assert len(results.take(LONG)) == MANY


def test_a_failure_wakes_the_caller_and_stands_until_it_is_heard() -> None:
    results, error = Results[int, int](), ImageError("dns_failed")
    results.add(1, error)
    assert results.take(LONG) == [(1, error)] and results.failed
    results.heard()
    assert not results.failed


def test_a_failure_that_came_meanwhile_still_stands() -> None:
    results = Results[int, int]()
    results.add(1, ImageError("dns_failed"))
    results.take(LONG)
    results.add(2, ImageError("dns_failed"))
    results.heard()
    assert results.failed


def test_a_fault_of_ours_has_a_code(caplog: pytest.LogCaptureFixture) -> None:
    results = Results[int, int]()
    results.add(1, KeyError("odd"))
    ((_, outcome),) = results.take(LONG)
    assert isinstance(outcome, ImageError) and outcome.code == "internal_error"
    assert "KeyError" in caplog.text


def test_what_ends_the_run_comes_after_the_last_results() -> None:
    results = Results[int, int]()
    results.add(1, 10)
    results.end(StorageUnavailable())
    assert results.ended and results.take(LONG) == [(1, 10)]
    with pytest.raises(StorageUnavailable):
        results.take(0)
