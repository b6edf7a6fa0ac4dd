"""Run slices: fetching, compressing and storing overlap, results come as they are ready."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from ..errors import ImageError
from .download_slots import DownloadSlots
from .fetch_queue import FetchQueue
from .lane import Lanes
from .slice_run import STORES, SliceRun
from .work import Work

Item = TypeVar("Item")
Made = TypeVar("Made")
Done = TypeVar("Done")


class CodecStuck(Exception):
    """An image never came back from the codec: this process cannot compress any more."""


class SliceRunner:
    """The threads of one worker process that fetch, compress and store images.

    Downloads run in up to `concurrency` threads, and in more while some of them wait for origins
    that hang. One thread compresses, since each core has a process of its own. The caller watches
    their time and renews its leases meanwhile.
    """

    def __init__(self, *, concurrency: int, tick: float = 0.25) -> None:
        self.slots = DownloadSlots(concurrency)
        self.tick = tick
        self.lanes = self._new_lanes()

    def run(self, queue: FetchQueue[Item], work: Work[Item, Made, Done],
            ) -> Iterator[list[tuple[Item, Done | ImageError]]]:
        """Yield images with what became of them, as lists; once a tick at least, if it is empty.

        `queue` says which image is the next; where it has none to begin with, it is refilled. Raise
        CodecStuck after an image that never came back was yielded with `compress_timeout`.
        """
        run = SliceRun(self.lanes, self.slots, queue, work)
        try:
            while not work.stopped():
                run.begin_downloads()
                if not run.unfinished:
                    return
                yield run.results.take(self.tick)
                if (stuck := run.stuck) is not None:
                    yield [(stuck, ImageError("compress_timeout"))]
                    raise CodecStuck()
            yield run.results.take(0)
        finally:
            run.abandoned = True
            if run.images:
                # The next run must not wait for origins that hang, nor for their threads.
                self.close()
                self.lanes = self._new_lanes()

    def close(self) -> None:
        """Let the threads end when they are through with what they do."""
        self.lanes.close()

    def _new_lanes(self) -> Lanes:
        return Lanes(self.slots.threads, STORES)
