"""The images that a run has in hand, and whether there is room for another download."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import Enum, auto
from typing import Generic, TypeVar

from .download_slots import SLOW_SECONDS, DownloadSlots

Item = TypeVar("Item")


class Stage(Enum):
    """How far an image has come."""

    FETCHING = auto()
    FETCHED = auto()
    AT_CODEC = auto()


class InHand(Generic[Item]):
    """An image on its way; only the thread that has it changes its stage."""

    __slots__ = ("item", "slow_at", "stage")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.stage = Stage.FETCHING
        self.slow_at = time.monotonic() + SLOW_SECONDS

    @property
    def fetching(self) -> bool:
        """Tell whether it is still being fetched."""
        return self.stage is Stage.FETCHING


class ImagesInHand(Generic[Item]):
    """The images in hand; any thread may ask, and add or drop its own."""

    def __init__(self, slots: DownloadSlots) -> None:
        self.slots = slots
        self._held: set[InHand[Item]] = set()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._held)

    def __iter__(self) -> Iterator[InHand[Item]]:
        """Return those that are in hand at this moment."""
        return iter(list(self._held))

    def add(self, item: Item) -> InHand[Item]:
        """Take an image in hand."""
        held = InHand(item)
        self._held.add(held)
        return held

    def drop(self, held: InHand[Item]) -> None:
        """Let an image go: it is done, has failed, or nobody wants it."""
        self._held.discard(held)

    @property
    def waiting(self) -> int:
        """Return how many wait for the codec."""
        return sum(held.stage is Stage.FETCHED for held in self)

    @property
    def has_room(self) -> bool:
        """Tell whether a download may begin; those that are slow take but a thread."""
        taken = slow = 0
        now = time.monotonic()
        for held in self:
            if held.fetching and now >= held.slow_at:
                slow += 1
            elif held.stage is not Stage.AT_CODEC:
                taken += 1
        return taken < self.slots.target and taken + slow < self.slots.threads
