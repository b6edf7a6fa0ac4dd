"""The slice runner: downloads overlap, faults stay with their image, a stuck codec is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from imgcompress.errors import ImageError, StorageUnavailable
from imgcompress.worker import pipeline
from imgcompress.worker.hosts import FetchQueue
from imgcompress.worker.pipeline import STORES, UNSTORED, CodecStuck, SliceRunner

Outcomes = dict[int, "int | str"]
Results = list[tuple[int, int | ImageError]]


@pytest.fixture
def runner() -> Iterator[SliceRunner]:
    """Return a runner of four downloads."""
    runner = SliceRunner(concurrency=4, tick=0.01)
    yield runner
    runner.close()


@dataclass
class Work:
    """Work whose parts a test may replace."""

    fetch: Callable[[int], bytes] = lambda item: b"x" * item
    compress: Callable[[int, bytes], int] = lambda item, data: len(data)
    store: Callable[[int, int], int] = lambda item, made: made
    compress_seconds: Callable[[int], float] = lambda item: 10.0
    begins: Callable[[int], bool] = lambda item: True
    wanted: Callable[[int], bool] = lambda item: True
    refill: Callable[[], bool] = lambda: False
    stopped: Callable[[], bool] = lambda: False


def _outcomes(lists: Iterable[Results]) -> Outcomes:
    return {
        item: outcome.code if isinstance(outcome, ImageError) else outcome
        for results in lists
        for item, outcome in results
    }


def test_every_image_is_fetched_and_finished(runner: SliceRunner) -> None:
    results = runner.run(FetchQueue(range(50)), Work())
    assert _outcomes(results) == {item: item for item in range(50)}


def test_no_images_are_no_work(runner: SliceRunner) -> None:
    assert list(runner.run(FetchQueue(()), Work())) == []


def test_downloads_overlap_up_to_the_concurrency(runner: SliceRunner) -> None:
    together = threading.Barrier(4, timeout=10)

    def fetch(item: int) -> bytes:
        together.wait()
        return b""

    assert len(_outcomes(runner.run(FetchQueue(range(8)), Work(fetch)))) == 8


def test_a_host_that_hangs_leaves_places_for_others(runner: SliceRunner) -> None:
    release = threading.Event()

    def fetch(item: int) -> bytes:
        if item < 20:
            assert release.wait(10)
        return b""

    queue = FetchQueue(range(40), lambda item: "hangs" if item < 20 else "quick")
    done: list[int] = []
    for results in runner.run(queue, Work(fetch)):
        done += _outcomes([results])
        if len(done) == 20:
            release.set()
    assert sorted(done[:20]) == list(range(20, 40)) and len(done) == 40


def test_a_failure_is_known_before_the_next_download_begins(runner: SliceRunner) -> None:
    known: list[int] = []
    begun: list[tuple[int, int]] = []

    def fetch(item: int) -> bytes:
        begun.append((item, len(known)))
        raise ImageError("connect_failed")

    for results in runner.run(FetchQueue(range(12), limit_of=lambda host: 1), Work(fetch)):
        known += _outcomes([results])
    assert begun == [(number, number) for number in range(12)]


def test_a_fault_of_an_image_is_its_own(runner: SliceRunner) -> None:
    def fetch(item: int) -> bytes:
        if item == 1:
            raise ImageError("dns_failed")
        return b""

    def compress(item: int, data: bytes) -> int:
        if item == 2:
            raise ImageError("corrupt_image")
        if item == 3:
            raise KeyError("a fault of ours")
        return item

    assert _outcomes(runner.run(FetchQueue(range(5)), Work(fetch, compress))) == {
        0: 0,
        1: "dns_failed",
        2: "corrupt_image",
        3: "internal_error",
        4: 4,
    }


def test_an_unexpected_fault_of_fetching_is_the_images_own(runner: SliceRunner) -> None:
    def fetch(item: int) -> bytes:
        raise RuntimeError("a fault of ours")

    assert _outcomes(runner.run(FetchQueue((1,)), Work(fetch))) == {1: "internal_error"}


def test_a_failing_storage_ends_the_run(runner: SliceRunner) -> None:
    def store(item: int, made: int) -> int:
        raise StorageUnavailable()

    with pytest.raises(StorageUnavailable):
        _outcomes(runner.run(FetchQueue(range(3)), Work(store=store)))


def test_the_codec_goes_on_while_images_are_stored(runner: SliceRunner) -> None:
    together = threading.Barrier(STORES, timeout=10)

    def store(item: int, made: int) -> int:
        together.wait()
        return made

    images = range(2 * STORES)
    assert len(_outcomes(runner.run(FetchQueue(images), Work(store=store)))) == len(images)


def test_a_storage_that_hangs_is_not_taken_for_a_stuck_codec() -> None:
    release = threading.Event()
    runner = SliceRunner(concurrency=4, tick=0.02)

    def store(item: int, made: int) -> int:
        assert release.wait(10)
        return made

    outcomes: Outcomes = {}
    waited = 0
    work = Work(store=store, compress_seconds=lambda item: 0.05)
    for results in runner.run(FetchQueue(range(20)), work):
        outcomes |= _outcomes([results])
        waited += not results
        if waited == 20:
            release.set()
    assert outcomes == {item: item for item in range(20)}
    runner.close()


def test_the_run_ends_when_told_to_stop(runner: SliceRunner) -> None:
    done: list[int] = []
    queue = FetchQueue(range(100_000))
    for results in runner.run(queue, Work(stopped=lambda: len(done) >= 3)):
        done += _outcomes([results])
    assert len(done) >= 3 and queue


def test_what_was_done_before_a_stop_is_told(runner: SliceRunner) -> None:
    stored = threading.Event()

    def store(item: int, made: int) -> int:
        stored.set()
        return made

    results = runner.run(FetchQueue((7,)), Work(store=store, stopped=stored.is_set))
    assert _outcomes(results) == {7: 7}


def test_the_caller_hears_from_the_runner_while_nothing_is_ready(runner: SliceRunner) -> None:
    release = threading.Event()

    def fetch(item: int) -> bytes:
        assert release.wait(10)
        return b""

    results = runner.run(FetchQueue((1,)), Work(fetch))
    assert [next(results), next(results)] == [[], []]
    release.set()
    assert _outcomes(results) == {1: 0}


def test_an_image_that_never_comes_back_fails_and_the_run_ends() -> None:
    release = threading.Event()
    runner = SliceRunner(concurrency=2, tick=0.01)

    def compress(item: int, data: bytes) -> int:
        if item == 0:
            release.wait(10)
        return item

    outcomes: Outcomes = {}
    work = Work(compress=compress, compress_seconds=lambda item: 0.05)
    with pytest.raises(CodecStuck):
        for results in runner.run(FetchQueue((0, 1)), work):
            outcomes |= _outcomes([results])
    assert outcomes[0] == "compress_timeout"
    release.set()
    runner.close()


def test_at_most_the_concurrency_is_held_in_memory(runner: SliceRunner) -> None:
    held, most, lock = 0, 0, threading.Lock()

    def fetch(item: int) -> bytes:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return b""

    def store(item: int, made: int) -> int:
        nonlocal held
        with lock:
            held -= 1
        return item

    _outcomes(runner.run(FetchQueue(range(60)), Work(fetch, store=store)))
    # Four downloads, the image in the codec, and those on their way to the storage.
    assert most <= 5 + UNSTORED


def test_an_empty_queue_is_filled_again_while_a_download_hangs(runner: SliceRunner) -> None:
    release, queue, more = threading.Event(), FetchQueue([0]), [10, 20]

    def fetch(item: int) -> bytes:
        assert item or release.wait(10)
        return b""

    def refill() -> bool:
        queue.add(range(more[-1], more[-1] + 5) if more else ())
        return bool(more and more.pop())

    done: list[int] = []
    for results in runner.run(queue, Work(fetch, refill=refill)):
        done += _outcomes([results])
        if len(done) == 10:
            release.set()
    assert sorted(done[:10]) == [*range(10, 15), *range(20, 25)] and done[10:] == [0]


def test_failures_are_no_reason_to_refill_a_queue_that_has_images(runner: SliceRunner) -> None:
    queue, left = FetchQueue(range(200)), list[int]()

    def fetch(item: int) -> bytes:
        raise ImageError("connect_failed")

    def refill() -> bool:
        left.append(len(list(queue)))
        return False

    assert len(_outcomes(runner.run(queue, Work(fetch, refill=refill)))) == 200
    assert left and not any(left)


def test_slow_downloads_leave_room_for_others(
    runner: SliceRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SLOW_SECONDS", 0.0)
    release = threading.Event()

    def fetch(item: int) -> bytes:
        assert item >= 8 or release.wait(10)
        return b""

    done: list[int] = []
    for results in runner.run(FetchQueue(range(40)), Work(fetch)):
        done += _outcomes([results])
        if len(done) == 32:
            release.set()
    assert sorted(done[:32]) == list(range(8, 40)) and len(done) == 40


def test_images_that_nobody_wants_any_more_are_dropped(runner: SliceRunner) -> None:
    unwanted = {0, 5}
    begun = set[int]()

    def fetch(item: int) -> bytes:
        begun.add(item)
        return b""

    outcomes = _outcomes(
        runner.run(FetchQueue(range(10)), Work(fetch, begins=lambda item: item not in unwanted))
    )
    assert set(outcomes) == begun == {1, 2, 3, 4, 6, 7, 8, 9}


def test_an_image_that_is_fetched_too_late_is_not_compressed(runner: SliceRunner) -> None:
    late, compressed = set[int](), list[int]()

    def fetch(item: int) -> bytes:
        late.add(item)
        return b""

    def compress(item: int, data: bytes) -> int:
        compressed.append(item)
        return 0

    work = Work(fetch, compress, begins=lambda item: item not in late or item == 1)
    assert _outcomes(runner.run(FetchQueue(range(3)), work)) == {1: 0}
    assert compressed == [1]


def test_a_run_does_not_wait_for_a_download_that_nobody_wants_any_more(runner: SliceRunner) -> None:
    release, unwanted = threading.Event(), set[int]()

    def fetch(item: int) -> bytes:
        assert item or release.wait(10)
        return b""

    for results in runner.run(
        FetchQueue(range(3)), Work(fetch, wanted=lambda item: item not in unwanted)
    ):
        unwanted |= {0} if results else set()
    assert not release.is_set()
    release.set()


def test_two_runs_can_follow_each_other_on_the_same_threads(runner: SliceRunner) -> None:
    lanes = runner.lanes
    for _ in range(2):
        assert len(_outcomes(runner.run(FetchQueue(range(5)), Work()))) == 5
    assert runner.lanes is lanes
