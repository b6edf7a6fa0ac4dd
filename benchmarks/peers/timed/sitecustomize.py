"""Time the bookkeeping of pool processes, in processes that have this folder on PYTHONPATH.

Python imports a module of this name as it starts. The main thread of a pool process claims, looks
up, records and publishes, does what Celery asks of it, and hands images from thread to thread. The
last is the pipeline's: it is timed here, and all else that the thread does is bookkeeping. The
clock is the thread's own, so that neither other threads nor waiting count. Whenever a slice is
released, the sums are written to a file of the folder TIMES_DIR.
"""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from imgcompress.worker import tasks
from imgcompress.worker.slices import ActiveSlice
from imgcompress.worker.tasks import SliceTask


class _Clock:
    """The seconds that this thread has spent on handing images on, and the statements sent."""

    def __init__(self) -> None:
        self.handing = 0.0
        self.statements = 0
        self._since: float | None = None

    @contextmanager
    def hands_on(self) -> Iterator[None]:
        self._since = time.thread_time()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def keeps_books(self) -> Iterator[None]:
        in_shift = self._since is not None
        self._stop()
        try:
            yield
        finally:
            self._since = time.thread_time() if in_shift else None

    def _stop(self) -> None:
        if self._since is not None:
            self.handing += time.thread_time() - self._since
            self._since = None

    def count(self, *_: object) -> None:
        self.statements += 1

    def write(self) -> None:
        times = {
            "bookkeeping": time.thread_time() - self.handing,
            "handing": self.handing,
            "statements": self.statements,
        }
        Path(os.environ["TIMES_DIR"], str(os.getpid())).write_text(json.dumps(times))


CLOCK = _Clock()


def _within(
    owner: object,
    name: str,
    timed: Callable[[], AbstractContextManager[None]],
    then: Callable[[], None] = lambda: None,
) -> None:
    act = getattr(owner, name)

    @functools.wraps(act)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with timed():
            result = act(*arguments, **options)
            then()
            return result

    setattr(owner, name, wrapped)


if "TIMES_DIR" in os.environ:
    _within(SliceTask, "run", CLOCK.hands_on)
    _within(SliceTask, "_begin", CLOCK.keeps_books)
    _within(tasks, "next_slice", CLOCK.keeps_books)
    _within(tasks, "claimed", CLOCK.keeps_books)
    _within(ActiveSlice, "add", CLOCK.keeps_books)
    _within(ActiveSlice, "write_if_due", CLOCK.keeps_books)
    _within(ActiveSlice, "release", CLOCK.keeps_books, then=CLOCK.write)
    event.listen(Engine, "before_cursor_execute", CLOCK.count)
