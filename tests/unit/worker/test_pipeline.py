"""The pipeline: downloads overlap, failures stay with their image, a stuck codec is noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import pytest

from imgcompress.errors import ImageError, StorageUnavailable
from imgcompress.ledger.hosts import Source
from imgcompress.ledger.results import Success
from imgcompress.ledger.slices import PendingImage
from imgcompress.worker import pipeline as pipelines
from imgcompress.worker.pipeline import READY, CodecStuck, Pipeline
from imgcompress.worker.slices import ActiveSlice, SliceImage
from imgcompress.worker.stages import Encoded, ImageStages

# More than READY, so that all of them fetch only where the codec waits.
CONCURRENCY = 6
Outcomes = dict[int, str]


@dataclass
class Slice:
    """The state of a slice, as the stages read it."""

    closing: bool = False
    ended: bool = False


def number_of(item: SliceImage) -> int:
    """Return the number that an image has in these tests."""
    return item.image.ordinal


@dataclass
class Stages:
    """Stages of which a test may replace parts; an image's bytes are its number."""

    fetch: Callable[[SliceImage], bytes] = lambda item: b""
    compress: Callable[[SliceImage, bytes], Encoded] = lambda item, data: cast(Encoded, None)
    store: Callable[[SliceImage, Encoded], Success] = lambda item, encoded: stored(item)
    compress_seconds: Callable[[SliceImage], float] = lambda item: 10.0
    limit_of: Callable[[Source], int] = lambda source: 99
    look_up: Callable[[Any], None] = lambda ready: None


def stored(item: SliceImage) -> Success:
    """Return the result of a stored image."""
    return Success(item.image, "target_met", 2, 1, 1, 1, "jpeg", ".jpg", 50, 1.0, "key")


def images(
    numbers: Iterable[int],
    host_of: Callable[[int], str] = lambda number: "a.test",
    slice_of: Callable[[int], Slice] | None = None,
) -> list[SliceImage]:
    """Return images with these numbers."""
    common = Slice()
    return [
        SliceImage(
            cast(ActiveSlice, slice_of(number) if slice_of else common),
            PendingImage(uuid4(), number, 2, "https://a.test/", 0, False),
            Source("", host_of(number)),
        )
        for number in numbers
    ]


@contextmanager
def running(stages: Stages, items: Iterable[SliceImage] = ()) -> Iterator[Pipeline]:
    """Yield a pipeline of six downloads with these images."""
    pipeline = Pipeline(cast(ImageStages, stages), concurrency=CONCURRENCY)
    pipeline.queue.add(items)
    try:
        yield pipeline
    finally:
        pipeline.close()


def taken(pipeline: Pipeline, count: int, until: Callable[[], bool] = lambda: False) -> Outcomes:
    """Return the outcomes of the next images; "" where one was stored, else the code."""
    outcomes: Outcomes = {}
    end = time.monotonic() + 20
    while len(outcomes) < count and not until():
        assert time.monotonic() < end, f"only {outcomes}"
        for item, outcome in pipeline.take(0.01):
            outcomes[number_of(item)] = outcome.code if isinstance(outcome, ImageError) else ""
    return outcomes


def test_every_image_is_fetched_compressed_and_stored() -> None:
    with running(Stages(), images(range(50))) as pipeline:
        assert taken(pipeline, 50) == dict.fromkeys(range(50), "")
        assert pipeline.take(0.0) == []


def test_downloads_overlap_up_to_the_concurrency() -> None:
    together = threading.Barrier(CONCURRENCY, timeout=10)

    def fetch(item: SliceImage) -> bytes:
        together.wait()
        return b""

    with running(Stages(fetch), images(range(2 * CONCURRENCY))) as pipeline:
        assert len(taken(pipeline, 2 * CONCURRENCY)) == 2 * CONCURRENCY


def test_a_host_that_hangs_leaves_places_for_others() -> None:
    release = threading.Event()

    def fetch(item: SliceImage) -> bytes:
        if number_of(item) < 20:
            assert release.wait(10)
        return b""

    hosts = images(range(40), lambda number: "hangs" if number < 20 else "quick")
    with running(Stages(fetch), hosts) as pipeline:
        assert sorted(taken(pipeline, 20)) == list(range(20, 40))
        release.set()
        assert sorted(taken(pipeline, 20)) == list(range(20))


def test_a_failure_is_known_before_its_host_is_fetched_from_again() -> None:
    known, begun = list[int](), list[tuple[int, int]]()

    def fetch(item: SliceImage) -> bytes:
        begun.append((number_of(item), len(known)))
        raise ImageError("connect_failed")

    with running(Stages(fetch, limit_of=lambda source: 1), images(range(12))) as pipeline:
        while len(known) < 12:
            known += [number_of(item) for item, _ in pipeline.take(0.01)]
    assert begun == [(number, number) for number in range(12)]


def test_the_failure_of_an_image_is_its_own() -> None:
    def fetch(item: SliceImage) -> bytes:
        if number_of(item) == 1:
            raise ImageError("dns_failed")
        if number_of(item) == 4:
            raise RuntimeError("a defect of ours")
        return b""

    def compress(item: SliceImage, data: bytes) -> Encoded:
        if number_of(item) == 2:
            raise ImageError("corrupt_image")
        if number_of(item) == 3:
            raise KeyError("a defect of ours")
        return cast(Encoded, None)

    with running(Stages(fetch, compress), images(range(6))) as pipeline:
        assert taken(pipeline, 6) == {
            0: "",
            1: "dns_failed",
            2: "corrupt_image",
            3: "internal_error",
            4: "internal_error",
            5: "",
        }


def test_a_failing_storage_is_raised_after_the_results_before_it() -> None:
    def store(item: SliceImage, encoded: Encoded) -> Success:
        if number_of(item) == 2:
            raise StorageUnavailable()
        return stored(item)

    with running(Stages(store=store, limit_of=lambda source: 1), images(range(3))) as pipeline:
        assert taken(pipeline, 2) == {0: "", 1: ""}
        with pytest.raises(StorageUnavailable):
            taken(pipeline, 1)


def test_a_storage_error_for_an_ended_slice_is_ignored() -> None:
    part, ended = Slice(), threading.Event()

    def store(item: SliceImage, encoded: Encoded) -> Success:
        part.ended = True
        ended.set()
        raise StorageUnavailable()

    with running(Stages(store=store), images([0], slice_of=lambda number: part)) as pipeline:
        assert ended.wait(10)
        pipeline.queue.add(images([1]))
        ended.clear()
        with pytest.raises(StorageUnavailable):
            taken(pipeline, 1)


def test_the_codec_goes_on_while_images_are_stored() -> None:
    together = threading.Barrier(CONCURRENCY, timeout=10)

    def store(item: SliceImage, encoded: Encoded) -> Success:
        together.wait()
        return stored(item)

    with running(Stages(store=store), images(range(2 * CONCURRENCY))) as pipeline:
        assert len(taken(pipeline, 2 * CONCURRENCY)) == 2 * CONCURRENCY


def test_a_storage_that_hangs_is_not_taken_for_a_stuck_codec() -> None:
    release = threading.Event()

    def store(item: SliceImage, encoded: Encoded) -> Success:
        assert release.wait(10)
        return stored(item)

    with running(
        Stages(store=store, compress_seconds=lambda item: 0.05), images(range(20))
    ) as pipeline:
        assert [pipeline.take(0.02) for _ in range(20)] == [[]] * 20
        release.set()
        assert len(taken(pipeline, 20)) == 20


def test_an_image_that_hangs_in_the_codec_is_named() -> None:
    release = threading.Event()

    def compress(item: SliceImage, data: bytes) -> Encoded:
        release.wait(10)
        return cast(Encoded, None)

    stages = Stages(compress=compress, compress_seconds=lambda item: 0.05)
    with running(stages, images([7])) as pipeline:
        with pytest.raises(CodecStuck) as stuck:
            taken(pipeline, 1)
        assert number_of(stuck.value.item) == 7
        release.set()


def test_images_wait_for_a_codec_that_is_slower_than_their_hosts() -> None:
    begun, release = threading.Semaphore(0), threading.Event()

    def fetch(item: SliceImage) -> bytes:
        begun.release()
        return b""

    def compress(item: SliceImage, data: bytes) -> Encoded:
        assert release.wait(10)
        return cast(Encoded, None)

    with running(Stages(fetch, compress), images(range(60))) as pipeline:
        for _ in range(1 + READY):
            assert begun.acquire(timeout=10)
        for _ in range(5):
            assert pipeline.take(0.02) == []
        more = 0
        while begun.acquire(blocking=False):
            more += 1
        # Those that had begun when the last one was ready.
        assert more < CONCURRENCY
        release.set()
        taken(pipeline, 60)


def test_a_pipeline_runs_dry_while_its_last_downloads_hang() -> None:
    release = threading.Event()

    def fetch(item: SliceImage) -> bytes:
        assert number_of(item) or release.wait(10)
        return b""

    with running(Stages(fetch), images(range(6))) as pipeline:
        assert sorted(taken(pipeline, 5)) == [1, 2, 3, 4, 5]
        taken(pipeline, 1, until=lambda: pipeline.queue.runs_dry())
        pipeline.queue.add(images(range(10, 15)))
        assert not pipeline.queue.runs_dry()
        assert sorted(taken(pipeline, 5)) == list(range(10, 15))
        release.set()
        assert taken(pipeline, 1) == {0: ""}


def test_a_pipeline_whose_codec_has_enough_does_not_run_dry() -> None:
    release = threading.Event()

    def compress(item: SliceImage, data: bytes) -> Encoded:
        assert release.wait(10)
        return cast(Encoded, None)

    with running(Stages(compress=compress)) as pipeline:
        taken(pipeline, 1, until=lambda: pipeline.queue.runs_dry())
        pipeline.queue.add(images(range(1 + READY)))
        taken(pipeline, 1, until=lambda: not pipeline.queue and not pipeline.queue.runs_dry())
        assert [pipeline.queue.runs_dry() for _ in range(3) if not pipeline.take(0.01)] == [
            False
        ] * 3
        release.set()
        taken(pipeline, 1 + READY)


def test_slow_downloads_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "SLOW_SECONDS", 0.0)
    release = threading.Event()

    def fetch(item: SliceImage) -> bytes:
        assert number_of(item) >= 8 or release.wait(10)
        return b""

    with running(Stages(fetch), images(range(40))) as pipeline:
        assert sorted(taken(pipeline, 32)) == list(range(8, 40))
        release.set()
        assert sorted(taken(pipeline, 8)) == list(range(8))


def test_images_of_a_slice_that_has_ended_are_dropped() -> None:
    begun, parts = set[int](), {True: Slice(), False: Slice(ended=True)}

    def fetch(item: SliceImage) -> bytes:
        begun.add(number_of(item))
        return b""

    items = images(range(10), slice_of=lambda number: parts[number % 5 > 0])
    with running(Stages(fetch), items) as pipeline:
        assert set(taken(pipeline, 8)) == begun == {1, 2, 3, 4, 6, 7, 8, 9}


def test_an_image_that_is_fetched_when_its_slice_is_closing_is_not_compressed() -> None:
    compressed, parts = list[int](), [Slice() for _ in range(3)]

    def fetch(item: SliceImage) -> bytes:
        parts[number_of(item)].closing = number_of(item) != 1
        return b""

    def compress(item: SliceImage, data: bytes) -> Encoded:
        compressed.append(number_of(item))
        return cast(Encoded, None)

    items = images(range(3), slice_of=parts.__getitem__)
    with running(Stages(fetch, compress), items) as pipeline:
        assert taken(pipeline, 1) == {1: ""}
        pipeline.take(0.05)
    assert compressed == [1]
    assert [item.compressing for item in items] == [False, True, False]


def test_an_image_whose_slice_has_ended_is_not_stored() -> None:
    part, late, kept = Slice(), threading.Event(), list[int]()

    def compress(item: SliceImage, data: bytes) -> Encoded:
        if number_of(item) == 0:
            part.ended = True
            late.set()
        return cast(Encoded, None)

    def store(item: SliceImage, encoded: Encoded) -> Success:
        kept.append(number_of(item))
        return stored(item)

    with running(Stages(compress=compress, store=store)) as pipeline:
        pipeline.queue.add(images([0], slice_of=lambda number: part))
        assert late.wait(10)
        pipeline.queue.add(images([1]))
        assert taken(pipeline, 1) == {1: ""}
    assert kept == [1]


def test_threads_end_with_their_pipeline() -> None:
    before = set(threading.enumerate())
    with running(Stages(), images(range(3))) as pipeline:
        taken(pipeline, 3)
        begun = set(threading.enumerate()) - before
    for thread in begun:
        thread.join(10)
    assert len(begun) == CONCURRENCY
    assert not any(cast(Any, thread).is_alive() for thread in begun)
