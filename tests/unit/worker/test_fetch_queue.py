"""The queue of a slice: fair to hosts, and never beyond their limits."""

from __future__ import annotations

from imgcompress.worker.hosts import FetchQueue

Item = tuple[str, int]


def _queue(*hosts: str, **limits: int) -> FetchQueue[Item]:
    items = [(host, number) for number, host in enumerate(hosts)]
    return FetchQueue(items, lambda item: item[0], lambda host: limits.get(host, 99))


def _taken(queue: FetchQueue[Item], most: int = 99) -> list[Item]:
    taken: list[Item] = []
    while len(taken) < most and (item := queue.take()) is not None:
        taken.append(item)
    return taken


def test_one_hosts_images_come_in_their_order() -> None:
    queue = FetchQueue(range(5))
    assert [queue.take() for _ in range(6)] == [0, 1, 2, 3, 4, None]
    assert not queue


def test_hosts_take_turns() -> None:
    queue = _queue("a", "a", "a", "a", "b", "c")
    assert _taken(queue) == [("a", 0), ("b", 4), ("c", 5), ("a", 1), ("a", 2), ("a", 3)]


def test_a_host_that_answers_gets_the_places_that_a_silent_one_leaves() -> None:
    queue = _queue(*"sssss", *"qqqqqqqq")
    in_hand = _taken(queue, 4)
    for _ in range(6):
        quick = next(item for item in in_hand if item[0] == "q")
        in_hand.remove(quick)
        queue.put_down(quick)
        in_hand += _taken(queue, 1)
    assert [host for host, _ in in_hand] == ["s", "s", "q", "q"]


def test_a_host_at_its_limit_is_passed_over() -> None:
    queue = _queue("a", "a", "b", "b", a=1)
    assert _taken(queue) == [("a", 0), ("b", 2), ("b", 3)]
    assert queue and queue.take() is None
    queue.put_down(("b", 2))
    assert queue.take() is None
    queue.put_down(("a", 0))
    assert queue.take() == ("a", 1)


def test_a_limit_may_change_on_the_way() -> None:
    limits = {"a": 1}
    queue = FetchQueue(
        [("a", number) for number in range(4)], lambda item: item[0], limits.__getitem__
    )
    assert len(_taken(queue)) == 1
    limits["a"] = 3
    assert len(_taken(queue)) == 2
