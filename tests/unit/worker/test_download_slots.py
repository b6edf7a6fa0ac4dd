"""How many downloads are under way: what the codec needs, between one and the concurrency."""

from __future__ import annotations

from imgcompress.worker.pipeline import FIRST, ConcurrencyLimiter


def _serve(slots: ConcurrencyLimiter, images: int, *, more_ready: bool) -> None:
    for _ in range(images):
        slots.codec_served(more_ready=more_ready)


def test_a_codec_that_waits_for_a_far_origin_gets_more_downloads() -> None:
    slots = ConcurrencyLimiter(16)
    assert slots.target == FIRST
    for _ in range(10):
        slots.codec_waited(0.1)
    assert slots.target == 16


def test_the_time_an_image_takes_through_the_threads_is_no_waiting() -> None:
    slots = ConcurrencyLimiter(16)
    slots.codec_waited(0.001)
    assert slots.target == FIRST


def test_a_codec_that_never_waits_needs_one_download_at_a_time() -> None:
    slots = ConcurrencyLimiter(16)
    slots.codec_waited(0.1)
    _serve(slots, 100, more_ready=True)
    assert slots.target == 1


def test_downloads_that_come_just_in_time_stay_as_many() -> None:
    slots = ConcurrencyLimiter(16)
    for _ in range(20):
        _serve(slots, 2 * FIRST - 1, more_ready=True)
        _serve(slots, 1, more_ready=False)
    assert slots.target == FIRST


def test_there_are_never_more_than_the_concurrency_allows() -> None:
    slots = ConcurrencyLimiter(2)
    slots.codec_waited(1.0)
    assert slots.target == 2
