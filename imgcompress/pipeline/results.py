"""The results of a run, on their way from the threads to the caller."""

from __future__ import annotations

import logging
import threading
from typing import Generic, TypeVar

from ..errors import ImageError

log = logging.getLogger(__name__)

# The caller hears of so many before its tick.
MANY = 16

Item = TypeVar("Item")
Done = TypeVar("Done")


class Results(Generic[Item, Done]):
    """What became of images; to wake the caller for each costs more than to tell it of many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._called = threading.Event()
        self._new: list[tuple[Item, Done | Exception]] = []
        self._ended_by: BaseException | None = None
        self.failed = False

    def __bool__(self) -> bool:
        """Tell whether there is something to hear."""
        return bool(self._new or self._ended_by)

    def add(self, item: Item, outcome: Done | Exception) -> None:
        """Tell what became of an image; of a failure the caller hears at once."""
        failed = isinstance(outcome, Exception)
        with self._lock:
            self._new.append((item, outcome))
            self.failed |= failed
        if failed or len(self._new) >= MANY:
            self.call()

    def end(self, error: BaseException) -> None:
        """Tell what ends the run."""
        self._ended_by = error
        self.call()

    @property
    def ended(self) -> bool:
        """Tell whether something has ended the run."""
        return self._ended_by is not None

    def call(self) -> None:
        """Have the caller look up before its tick."""
        self._called.set()

    def heard(self) -> None:
        """Note that the caller knows of all failures that were taken."""
        with self._lock:
            self.failed = any(isinstance(outcome, Exception) for _, outcome in self._new)

    def take(self, seconds: float) -> list[tuple[Item, Done | ImageError]]:
        """Return what is new after so many seconds at most; raise what ended the run after it."""
        self._called.wait(seconds)
        self._called.clear()
        with self._lock:
            new, self._new = self._new, []
        if self._ended_by and not new:
            raise self._ended_by
        return [(item, _explained(outcome)) for item, outcome in new]


def _explained(outcome: Done | Exception) -> Done | ImageError:
    """Return an outcome as the caller knows it; what was a fault of ours is logged."""
    if isinstance(outcome, ImageError) or not isinstance(outcome, Exception):
        return outcome
    log.error("Unexpected error while an image was processed", exc_info=outcome)
    return ImageError("internal_error", detail=repr(outcome))
