"""One run of slices: each image goes from lane to lane, and what became of it to the caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import ImageError, ImgcompressError
from .download_slots import DownloadSlots
from .fetch_queue import FetchQueue
from .images_in_hand import ImagesInHand, InHand, Stage
from .lane import Lanes
from .results import Results
from .work import Work

# A storage on another machine takes its time, while the codec goes on with the next image.
STORES = 4
# So many images may wait for the storage, or be on their way to it, before the codec pauses.
UNSTORED = 2 * STORES

Item = TypeVar("Item")
Made = TypeVar("Made")
Done = TypeVar("Done")


class _Compressing(NamedTuple, Generic[Item]):
    item: Item
    deadline: float


class SliceRun(Generic[Item, Made, Done]):
    """The images of one run.

    Each stage hands an image to the next by itself, and the codec's thread makes room for the next
    download: the caller's thread is not woken for it. It is called for failures, for many results
    and where no image is to be had, and it alone refills the queue.
    """

    def __init__(self, lanes: Lanes, slots: DownloadSlots, queue: FetchQueue[Item],
                 work: Work[Item, Made, Done]) -> None:
        self.lanes, self.slots, self.queue, self.work = lanes, slots, queue, work
        self.images: ImagesInHand[Item] = ImagesInHand(slots)
        self.results: Results[Item, Done] = Results()
        self.abandoned = False
        self._taking = threading.Lock()
        # Whether the queue had no image to give when it was last asked.
        self._dry = False
        self._unstored = threading.Semaphore(UNSTORED)
        self._compressing: _Compressing[Item] | None = None
        self._codec_free_since = time.monotonic()

    @property
    def unfinished(self) -> bool:
        """Tell whether anything is left that somebody wants."""
        return bool(self.results or self.queue) or any(
            not held.fetching or self.work.wanted(held.item) for held in self.images)

    @property
    def stuck(self) -> Item | None:
        """Return the image that should long have come back from the codec, if there is one."""
        now = self._compressing
        return now.item if now and time.monotonic() > now.deadline else None

    def begin_downloads(self) -> None:
        """Begin what there is room for, once the caller knows of the results so far."""
        self.results.heard()
        while self.images.has_room:
            if not self._begin_next() and not (self._dry and self.work.refill()):
                return

    def _begin_next(self) -> bool:
        held = self._take()
        if held is not None:
            self.lanes.downloads.begin(partial(self._download, held))
        return held is not None

    def _take(self) -> InHand[Item] | None:
        """Take the next image in hand; return None where there is no room or no image."""
        with self._taking:
            self._dry = False
            while self._may_begin and self.images.has_room:
                item = self.queue.take()
                if item is None:
                    self._dry = True
                    break
                if self.work.begins(item):
                    return self.images.add(item)
                self.queue.put_down(item)
        return None

    @property
    def _goes_on(self) -> bool:
        return not (self.abandoned or self.results.ended)

    @property
    def _may_begin(self) -> bool:
        return self._goes_on and not self.results.failed

    def _download(self, held: InHand[Item] | None) -> None:
        while held is not None:
            self._guarded(held, self._fetch)
            held = self._take()

    def _guarded(self, held: InHand[Item], act: Callable[..., None], *arguments: Any) -> None:
        """Take an image through one stage, and what it raises to the caller."""
        try:
            act(held, *arguments)
        except BaseException as error:
            its_own = isinstance(error, ImageError) or not isinstance(
                error, (ImgcompressError, OSError))
            if isinstance(error, Exception) and its_own:
                self._finish(held, error)
            else:
                self.results.end(error)
                self.images.drop(held)

    def _fetch(self, held: InHand[Item]) -> None:
        try:
            data = self.work.fetch(held.item)
        finally:
            self.queue.put_down(held.item)
        held.stage = Stage.FETCHED
        self.lanes.codec.begin(partial(self._guarded, held, self._compress, data))

    def _compress(self, held: InHand[Item], data: bytes) -> None:
        self._tell_slots()
        held.stage = Stage.AT_CODEC
        if self.images.has_room and not self._begin_next():
            self.results.call()
        if not self._goes_on or not self.work.begins(held.item):
            self._finish(held, None)
            return
        try:
            made = self._compressed(held.item, data)
            self._unstored.acquire()
        finally:
            self._codec_free_since = time.monotonic()
        self.lanes.stores.begin(partial(self._guarded, held, self._store, made))

    def _compressed(self, item: Item, data: bytes) -> Made:
        deadline = time.monotonic() + self.work.compress_seconds(item)
        self._compressing = _Compressing(item, deadline)
        try:
            return self.work.compress(item, data)
        finally:
            self._compressing = None

    def _tell_slots(self) -> None:
        if not self.images.has_room:
            self.slots.codec_waited(time.monotonic() - self._codec_free_since)
        self.slots.codec_served(more_ready=self.images.waiting > 1)

    def _store(self, held: InHand[Item], made: Made) -> None:
        try:
            done = self.work.store(held.item, made) if self.work.wanted(held.item) else None
        finally:
            self._unstored.release()
        self._finish(held, done)

    def _finish(self, held: InHand[Item], outcome: Done | Exception | None) -> None:
        """Let an image go, and tell what became of it where somebody asks."""
        lost = isinstance(outcome, Exception) and not self.work.wanted(held.item)
        if outcome is not None and not lost:
            self.results.add(held.item, outcome)
        self.images.drop(held)
        if not self.images:
            self.results.call()
