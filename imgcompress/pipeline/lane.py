"""A lane: threads that do one stage of the work, one image after the other.

concurrent.futures costs five times as much for each image (measured): a Future with its condition.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Act = Callable[[], None]


class Lane:
    """Up to `most` threads, started as they are needed."""

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self._acts: SimpleQueue[Act | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._begun = 0

    def begin(self, act: Act) -> None:
        """Have a thread act as soon as one is free; `act` must not raise anything."""
        with self._lock:
            self._begun += 1
            starts = self._threads < min(self._begun, self.most)
            self._threads += starts
            name = f"{self.name}-{self._threads}"
        self._acts.put(act)
        if starts:
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def close(self) -> None:
        """Let each thread end when it is through with what it does."""
        for _ in range(self._threads):
            self._acts.put(None)

    def _work(self) -> None:
        while (act := self._acts.get()) is not None:
            act()
            del act  # An idle thread must not hold an image.
            with self._lock:
                self._begun -= 1


class Lanes:
    """The threads of one worker process, by their stages."""

    def __init__(self, downloads: int, stores: int) -> None:
        self.downloads = Lane("download", downloads)
        self.codec = Lane("codec", 1)
        self.stores = Lane("store", stores)

    def close(self) -> None:
        """Let the threads end when they are through with what they do."""
        for lane in (self.downloads, self.codec, self.stores):
            lane.close()
