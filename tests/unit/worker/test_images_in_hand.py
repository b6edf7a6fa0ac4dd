"""The images in hand: how many more may be fetched, by how far the others have come."""

from __future__ import annotations

import pytest

from imgcompress.worker import pipeline
from imgcompress.worker.pipeline import FIRST, WITH_SLOW, ConcurrencyLimiter, ImagesInFlight, Stage


def _added_while_there_is_room(images: ImagesInFlight[int]) -> int:
    number = 0
    while images.has_room:
        images.add(number)
        number += 1
    return number


def test_there_is_room_for_as_many_downloads_as_there_are_slots() -> None:
    images = ImagesInFlight[int](ConcurrencyLimiter(16))
    assert _added_while_there_is_room(images) == FIRST


def test_an_image_keeps_its_slot_until_the_codec_takes_it() -> None:
    images = ImagesInFlight[int](ConcurrencyLimiter(16))
    _added_while_there_is_room(images)
    held = next(iter(images))
    held.stage = Stage.FETCHED
    assert not images.has_room and images.waiting == 1
    held.stage = Stage.AT_CODEC
    assert images.has_room and images.waiting == 0


def test_an_image_that_was_let_go_leaves_its_slot() -> None:
    images = ImagesInFlight[int](ConcurrencyLimiter(16))
    _added_while_there_is_room(images)
    images.drop(next(iter(images)))
    assert images.has_room


def test_slow_downloads_take_but_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SLOW_SECONDS", 0.0)
    images = ImagesInFlight[int](ConcurrencyLimiter(8))
    assert _added_while_there_is_room(images) == WITH_SLOW * 8
