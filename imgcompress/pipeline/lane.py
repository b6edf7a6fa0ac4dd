"""A lane: threads that do one stage of the work, and report to one queue.

concurrent.futures costs five times as much for each image: a Future with its condition, and waiters
on all of them at every turn (measured).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple


class Report(NamedTuple):
    """What became of one task: its ticket, and its value or the error that it raised."""

    ticket: int
    value: Any = None
    error: BaseException | None = None


Reports = SimpleQueue[Report]
_Task = tuple[int, Callable[..., Any], tuple[Any, ...]]


class Lane:
    """Up to `threads` threads, started as they are needed."""

    def __init__(self, name: str, threads: int, reports: Reports) -> None:
        self.name = name
        self.reports = reports
        self._most = threads
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads = 0
        self._under_way = 0

    def begin(self, ticket: int, act: Callable[..., Any], *arguments: Any) -> None:
        """Have a thread act; its report will come with the same ticket."""
        self._under_way += 1
        if self._threads < min(self._under_way, self._most):
            self._threads += 1
            threading.Thread(target=self._work, name=f"{self.name}-{self._threads}",
                             daemon=True).start()
        self._tasks.put((ticket, act, arguments))

    def heard(self) -> None:
        """Note that a report of this lane was taken."""
        self._under_way -= 1

    def close(self) -> None:
        """Let each thread end when it is through with what it does."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            ticket, act, arguments = task
            try:
                report = Report(ticket, act(*arguments))
            except BaseException as error:
                report = Report(ticket, error=error)
            self.reports.put(report)
            del task, act, arguments, report  # An idle thread must not hold an image.


class Lanes:
    """The threads of one worker process, which all report to one queue."""

    def __init__(self, downloads: int, stores: int) -> None:
        self.reports: Reports = SimpleQueue()
        self.downloads = Lane("download", downloads, self.reports)
        self.codec = Lane("codec", 1, self.reports)
        self.stores = Lane("store", stores, self.reports)

    def close(self) -> None:
        """Let the threads end when they are through with what they do."""
        for lane in (self.downloads, self.codec, self.stores):
            lane.close()
