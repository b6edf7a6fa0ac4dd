"""The images that wait to be fetched, shared fairly among their hosts.

A host that hangs or throttles holds no more downloads than its share, so that the images of other
hosts go on.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


def _one_host(item: object) -> str:
    return ""


def _no_limit(host: object) -> int:
    return sys.maxsize


class FetchQueue(Generic[Item]):
    """Images by their host, each host's in the order that they came; threads may share them.

    `limit_of` tells how many images of a host may be in hand at the moment: 1 or more. A host may
    be anything that `host_of` tells apart, such as one host for the jobs of one owner.
    """

    def __init__(self, items: Iterable[Item] = (), host_of: Callable[[Item], Hashable] = _one_host,
                 limit_of: Callable[[Any], int] = _no_limit) -> None:
        self._host_of = host_of
        self._limit_of = limit_of
        self._in_hand: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[Item]] = {}
        self._lock = threading.Lock()
        self.add(items)

    def __bool__(self) -> bool:
        """Tell whether images wait."""
        return bool(self._waiting)

    def __iter__(self) -> Iterator[Item]:
        """Return the images that wait."""
        with self._lock:
            return iter(list(chain.from_iterable(self._waiting.values())))

    def add(self, items: Iterable[Item]) -> None:
        """Let more images wait, behind those of their hosts."""
        with self._lock:
            for item in items:
                self._waiting.setdefault(self._host_of(item), deque()).append(item)

    def take(self) -> Item | None:
        """Return the next image to fetch, which is in hand now; None while no host has room.

        It is of the host with the fewest in hand, among those below their limit.
        """
        with self._lock:
            return self._next()

    def _next(self) -> Item | None:
        held = self._in_hand
        hosts = [host for host in self._waiting if held[host] < self._limit_of(host)]
        if not hosts:
            return None
        host = min(hosts, key=held.__getitem__)
        item = self._waiting[host].popleft()
        if not self._waiting[host]:
            del self._waiting[host]
        held[host] += 1
        return item

    def put_down(self, item: Item) -> None:
        """Note that an image is fetched or has failed: its host has room for another one."""
        with self._lock:
            self._in_hand[self._host_of(item)] -= 1
