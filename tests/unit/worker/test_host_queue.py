"""The images that wait to be fetched: fair to hosts, and never beyond their limits."""

from __future__ import annotations

import threading
from typing import cast
from uuid import uuid4

from imgcompress.ledger.hosts import Source
from imgcompress.ledger.slices import PendingImage
from imgcompress.worker.pipeline import FIRST_AT_ONCE, LEAST_AT_ONCE, READY, HostQueue
from imgcompress.worker.slices import ActiveSlice, SliceImage

Taken = tuple[str, int]


class Ended:
    """A slice that has ended, or not."""

    closing = False

    def __init__(self, ended: bool = False) -> None:
        self.ended = ended


OPEN = cast(ActiveSlice, Ended())


def _image(host: str, number: int, part: ActiveSlice = OPEN) -> SliceImage:
    image = PendingImage(uuid4(), number, 2, "https://a.test/", 0, False)
    return SliceImage(part, image, Source("", host))


def _queue(*hosts: str, **limits: int) -> HostQueue:
    queue = HostQueue(lambda source: limits.get(source.authority, 99))
    queue.add([_image(host, number) for number, host in enumerate(hosts)])
    return queue


def _taken(queue: HostQueue, most: int = 99) -> list[SliceImage]:
    taken: list[SliceImage] = []
    while len(taken) < most and (item := queue.take(wait=False)) is not None:
        taken.append(item)
    return taken


def _names(items: list[SliceImage]) -> list[Taken]:
    return [(item.source.authority, item.image.ordinal) for item in items]


def test_one_hosts_images_come_in_their_order() -> None:
    queue = _queue(*"aaaa")
    assert _names(_taken(queue)) == [("a", number) for number in range(4)]
    assert not queue


def _finish(
    queue: HostQueue, items: list[SliceImage], seconds: float, *, ready: bool = False
) -> None:
    """Let each download have taken that long."""
    for item in items:
        queue._began[item] -= seconds
        queue.put_down(item, ready=ready)


def test_a_far_origin_gets_more_downloads_at_once_and_a_near_one_fewer() -> None:
    queue = _queue(*"a" * 40, a=6)
    taken = _taken(queue)
    assert len(taken) == FIRST_AT_ONCE
    _finish(queue, taken, 0.05)
    assert len(taken := _taken(queue)) == 6
    _finish(queue, taken, 0.0)
    assert len(_taken(queue)) == LEAST_AT_ONCE


def test_downloads_that_hang_leave_room_for_others_of_their_origin() -> None:
    queue = _queue(*"a" * 20, a=9)
    for item in _taken(queue):
        queue._began[item] -= 0.2
    assert _taken(queue) == []
    queue.look_again()
    assert len(_taken(queue)) == 9 - FIRST_AT_ONCE


def test_hosts_take_turns() -> None:
    taken = _taken(_queue("a", "a", "a", "a", "b", "c"))
    assert _names(taken) == [("a", 0), ("b", 4), ("c", 5), ("a", 1), ("a", 2), ("a", 3)]


def test_a_host_that_answers_gets_the_places_that_a_silent_one_leaves() -> None:
    queue = _queue(*"sssss", *"qqqqqqqq")
    fetching = _taken(queue, 4)
    for _ in range(6):
        quick = next(item for item in fetching if item.source.authority == "q")
        fetching.remove(quick)
        _finish(queue, [quick], 0.005)
        fetching += _taken(queue, 1)
    assert [host for host, _ in _names(fetching)] == ["s", "s", "q", "q"]


def test_a_host_at_its_limit_is_passed_over() -> None:
    queue = _queue("a", "a", "b", "b", a=1)
    first, other, _ = _taken(queue)
    assert _names([first, other]) == [("a", 0), ("b", 2)] and queue
    queue.put_down(other)
    queue.put_down(other)
    assert _taken(queue) == []
    queue.put_down(first)
    assert _names(_taken(queue)) == [("a", 1)]


def test_a_limit_may_change_on_the_way() -> None:
    limits = {"a": 1}
    queue = HostQueue(lambda source: limits[source.authority])
    queue.add([_image("a", number) for number in range(4)])
    assert len(_taken(queue)) == 1
    limits["a"] = 3
    assert len(_taken(queue)) == 2


def test_no_image_is_fetched_while_enough_are_ready_for_the_codec() -> None:
    queue = _queue(*"aaaaaa")
    _finish(queue, _taken(queue, READY), 0.005, ready=True)
    assert _taken(queue) == [] and not queue.runs_dry()
    queue.hand_on()
    assert _names(_taken(queue)) == [("a", READY), ("a", READY + 1)]


def test_unwanted_images_leave_the_queue() -> None:
    queue = _queue("a")
    queue.add([_image("a", 1, cast(ActiveSlice, Ended(ended=True)))])
    queue.drop_unwanted()
    assert _names(queue.waiting()) == [("a", 0)]


def test_a_thread_waits_for_an_image_and_says_so_once() -> None:
    idle, taken = threading.Semaphore(0), list[SliceImage | None]()
    queue = HostQueue(lambda source: 1, on_dry=idle.release)
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    assert idle.acquire(timeout=10)
    assert queue.has_idle and queue.runs_dry()
    queue.look_again()
    image = _image("a", 0)
    queue.add([image])
    thread.join(10)
    assert taken == [image]
    assert not queue.has_idle and not queue.runs_dry() and not idle.acquire(blocking=False)
