"""The places of those who wait for a change, shared by owner first and then by job."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class Place:
    """The place of one who waits for a job; when it is `lost`, somebody else has it."""

    owner: str
    job: str
    lost: bool = False


class Places:
    """So many places in one process.

    When all are taken, a newcomer gets one from the owner who has the most, if that leaves it with
    no fewer than the newcomer's: of its job with the most, the place of who has waited longest.
    Where no owner has too many, it goes likewise among the jobs of the newcomer's.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        # In the order in which they were taken.
        self._taken: list[Place] = []

    @contextmanager
    def taken(self, owner: str, job: str) -> Iterator[Place | None]:
        """Hold a place, or None where there is none to be had."""
        place = Place(owner, job)
        with self._lock:
            has_place = len(self._taken) < self.most or self._make_room(place)
            if has_place:
                self._taken.append(place)
        try:
            yield place if has_place else None
        finally:
            with self._lock:
                if place in self._taken:
                    self._taken.remove(place)

    def _make_room(self, newcomer: Place) -> bool:
        """Take a place from who has too many; return whether there was one."""
        owners = Counter(place.owner for place in self._taken)
        owner = _with_too_many(owners, newcomer.owner)
        others = owner is not None
        jobs = Counter(place.job for place in self._taken
                       if place.owner == (owner if others else newcomer.owner))
        job = max(jobs, key=jobs.__getitem__) if others else _with_too_many(jobs, newcomer.job)
        if job is None:
            return False
        loser = next(place for place in self._taken if place.job == job)
        loser.lost = True
        self._taken.remove(loser)
        return True


def _with_too_many(places: Counter[str], own: str) -> str | None:
    """Return who has the most, if that is still as many as one's own with one of them."""
    most = max(places, key=places.__getitem__, default=None)
    return most if most is not None and places[most] - 1 >= places[own] + 1 else None
