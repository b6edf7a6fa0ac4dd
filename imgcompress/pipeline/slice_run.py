"""One run of slices: which image is at which stage."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import ImageError, ImgcompressError
from .download_slots import SLOW_SECONDS, DownloadSlots
from .fetch_queue import FetchQueue
from .lane import Lane, Lanes, Report
from .work import Work

log = logging.getLogger(__name__)

# A storage on another machine takes its time, while the codec goes on with the next image.
STORES = 4
# So many images may wait for the storage, or be on their way to it, before the codec pauses.
UNSTORED = 2 * STORES

Item = TypeVar("Item")
Made = TypeVar("Made")
Done = TypeVar("Done")


class _Download(NamedTuple, Generic[Item]):
    item: Item
    slow_at: float


class _Compressing(NamedTuple, Generic[Item]):
    ticket: int
    item: Item
    deadline: float


class SliceRun(Generic[Item, Made, Done]):
    """The images of one run on their way through the lanes."""

    def __init__(self, lanes: Lanes, slots: DownloadSlots, queue: FetchQueue[Item],
                 work: Work[Item, Made, Done], *, tick: float) -> None:
        self.lanes, self.slots, self.queue, self.work = lanes, slots, queue, work
        self.tick = tick
        self.stuck = False
        self._downloading: dict[int, _Download[Item]] = {}
        self._fetched: deque[tuple[Item, bytes]] = deque()
        self._compressing: _Compressing[Item] | None = None
        self._storing: dict[int, Item] = {}
        self._ready: deque[tuple[Item, Done | ImageError]] = deque()
        self._tickets = 0

    @property
    def under_way(self) -> bool:
        """Tell whether a thread works for this run."""
        return bool(self._downloading or self._compressing or self._storing)

    @property
    def unfinished(self) -> bool:
        """Tell whether anything is left that somebody wants."""
        return bool(self._ready or self._compressing or self._storing or self._fetched
                    or self.queue
                    or any(self.work.wanted(held.item) for held in self._downloading.values()))

    def begin_downloads(self) -> None:
        """Begin what there is room for, once the caller knows of the results so far."""
        while not self._ready and self._has_room():
            item = self.queue.take()
            if item is None:
                if not self.work.refill():
                    return
            elif self.work.wanted(item):
                ticket = self._begin(self.lanes.downloads, self.work.fetch, item)
                self._downloading[ticket] = _Download(item, time.monotonic() + SLOW_SECONDS)
            else:
                self.queue.put_down(item)

    def _has_room(self) -> bool:
        slots, downloading = self.slots, self._downloading
        if len(downloading) + len(self._fetched) < slots.target:
            return True
        now = time.monotonic()
        taken = len(self._fetched) + sum(now < held.slow_at for held in downloading.values())
        return taken < slots.target and len(downloading) < slots.threads

    def begin_compressing(self) -> None:
        """Hand the next fetched image to the codec, if it is idle and the storage keeps up."""
        while self._fetched and not self._compressing and len(self._storing) < UNSTORED:
            item, data = self._fetched.popleft()
            if self.work.wanted(item):
                self.slots.codec_served(more_ready=bool(self._fetched))
                ticket = self._begin(self.lanes.codec, self.work.compress, item, data)
                deadline = time.monotonic() + self.work.compress_seconds(item)
                self._compressing = _Compressing(ticket, item, deadline)

    def _begin(self, lane: Lane, act: Any, *arguments: Any) -> int:
        self._tickets += 1
        lane.begin(self._tickets, act, *arguments)
        return self._tickets

    def next_result(self) -> tuple[Item, Done | ImageError] | None:
        """Return an image that is done or has failed; None where there is none yet."""
        if not self._ready:
            self._hear()
        if not self._ready and self._compressing and time.monotonic() > self._compressing.deadline:
            self.stuck = True
            return self._compressing.item, ImageError("compress_timeout")
        return self._ready.popleft() if self._ready else None

    def _hear(self) -> None:
        """Wait for a report, for one tick at most, and move its image to the next stage."""
        starved = not (self._compressing or self._has_room())
        began = time.monotonic()
        try:
            report = self.lanes.reports.get(timeout=self.tick)
        except Empty:
            report = None
        if starved:
            self.slots.codec_waited(time.monotonic() - began)
        if report is not None:
            self._advance(report)

    def _advance(self, report: Report) -> None:
        ticket, value = report.ticket, _value(report)
        if (held := self._downloading.pop(ticket, None)) is not None:
            self.lanes.downloads.heard()
            self.queue.put_down(held.item)
            self._pass_on(held.item, value, lambda: self._fetched.append((held.item, value)))
        elif self._compressing and ticket == self._compressing.ticket:
            self.lanes.codec.heard()
            item, self._compressing = self._compressing.item, None
            self._pass_on(item, value, lambda: self._store(item, value))
        else:
            self.lanes.stores.heard()
            self._ready.append((self._storing.pop(ticket), value))

    def _pass_on(self, item: Item, value: Any, to_next_stage: Callable[[], None]) -> None:
        if not isinstance(value, ImageError):
            to_next_stage()
        elif self.work.wanted(item):
            self._ready.append((item, value))

    def _store(self, item: Item, made: Made) -> None:
        self._storing[self._begin(self.lanes.stores, self.work.store, item, made)] = item


def _value(report: Report) -> Any:
    """Return what a thread made of an image, or why it failed; raise what is a fault of ours."""
    error = report.error
    if error is None or isinstance(error, ImageError):
        return error or report.value
    if isinstance(error, (ImgcompressError, OSError)) or not isinstance(error, Exception):
        raise error
    log.error("An image met a fault of ours", exc_info=error)
    return ImageError("internal_error", detail=repr(error))
