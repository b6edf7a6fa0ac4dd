"""The share of the metrics that a process has not saved yet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from imgcompress import metrics
from imgcompress.metrics import SHARE, Counter, Histogram, Share

THINGS = Counter("things", "Things.", ("kind",))
TIMES = Histogram("times", "Times.", ("outcome",), bounds=(0.1, 1.0))


@pytest.fixture(autouse=True)
def _clean_share() -> Iterator[None]:
    SHARE.take()
    yield
    SHARE.take()


def test_values_are_summed_and_taken_once() -> None:
    share = Share()
    share.add({THINGS.sample("a"): 2, THINGS.sample("b"): 1}.items())
    share.add({THINGS.sample("a"): 3}.items())

    assert share.take() == {("things", ("a",)): 5, ("things", ("b",)): 1}
    assert share.take() == {}


def test_nothing_is_lost_between_threads() -> None:
    share = Share()
    one = {THINGS.sample("a"): 1}.items()
    threads = [Thread(target=lambda: [share.add(one) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    taken = 0.0
    while any(thread.is_alive() for thread in threads):
        taken += sum(share.take().values())
    assert taken + sum(share.take().values()) == 4000


def test_a_time_is_counted_in_its_bucket() -> None:
    for seconds in (0.05, 0.1, 0.5, 7.0):
        TIMES.observe(seconds, "ok")

    assert SHARE.take() == {
        ("times_bucket", ("ok", "0")): 2,
        ("times_bucket", ("ok", "1")): 1,
        ("times_bucket", ("ok", "2")): 1,
        ("times_sum", ("ok",)): pytest.approx(7.65),
    }


def test_failures_are_timed_as_failed() -> None:
    with pytest.raises(ValueError), TIMES.timing():
        raise ValueError
    with TIMES.timing():
        pass

    assert {sample.labels for sample in SHARE.take() if sample.name == "times_sum"} == {
        ("failed",),
        ("ok",),
    }


def test_a_thread_saves_until_all_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SAVE_SECONDS", 0.01)
    share, saved, well = Share(), [], Event()

    def save() -> None:
        values = share.take()
        if not saved:  # The first attempt fails, as when the ledger is away.
            share.add(values.items())
            saved.append({})
            return
        saved.append(values)
        well.set()

    share.save_by(save)
    share.add({THINGS.sample("a"): 1}.items())
    assert well.wait(30)
    assert saved == [{}, {("things", ("a",)): 1}]


def test_without_need_nothing_is_saved() -> None:
    share, saved = Share(), []
    share.save_by(lambda: saved.append(share.take()))
    share.save_now()
    assert saved == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_begins_with_nothing() -> None:
    SHARE.add({THINGS.sample("a"): 1}.items())
    pid = os.fork()
    if pid == 0:
        os._exit(1 if SHARE.take() else 0)
    assert os.waitpid(pid, 0)[1] == 0
    assert SHARE.take() == {("things", ("a",)): 1}
