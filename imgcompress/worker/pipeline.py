"""Overlap the downloads, compression and storage of the images of a slice.

Many at once cost a near origin's images CPU that the codec needs, and memory; few at once let the
codec wait for a far one. So the number follows from what the codec meets.

concurrent.futures costs five times as much for each image (measured): a Future with its condition.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ..errors import ImageError, ImgcompressError
from .hosts import FetchQueue

Worked = TypeVar("Worked", contravariant=True)
Made = TypeVar("Made")
Stored = TypeVar("Stored", covariant=True)


class Work(Protocol[Worked, Made, Stored]):
    """What a runner does with the images of a queue.

    `fetch`, `compress` and `store` are called in threads. They raise ImageError for a fault of the
    image alone; any other error is a fault of ours and ends the run.
    """

    def fetch(self, item: Worked, /) -> bytes:
        """Return the bytes of an image."""

    def compress(self, item: Worked, data: bytes, /) -> Made:
        """Compress an image."""

    def compress_seconds(self, item: Worked, /) -> float:
        """Return after how many seconds of compress() an image never comes back."""

    def store(self, item: Worked, made: Made, /) -> Stored:
        """Store what was made of an image."""

    def begins(self, item: Worked, /) -> bool:
        """Tell whether to begin to fetch or to compress an image: if not, it is dropped."""

    def wanted(self, item: Worked, /) -> bool:
        """Tell whether somebody wants to know what becomes of an image that was begun with.

        If not, nothing is stored of it any more.
        """

    def refill(self) -> bool:
        """Put more images into the queue, if there are any; return whether there were."""

    def stopped(self) -> bool:
        """Tell whether to end the run, and leave what is in hand."""


FIRST = 4
GROWTH = 1.5
# Less is the time that a near origin's image takes through the threads of this process.
STARVED_SECONDS = 0.005
# A download that has gone on for so long waits for its origin; it costs nothing but its thread.
SLOW_SECONDS = 2.0
# With those that wait for their origins, so many times the concurrency may be under way.
WITH_SLOW = 3


class ConcurrencyLimiter:
    """The number of downloads that may be under way, between 1 and `most`.

    It grows when the codec waits although all of them are taken, and shrinks by one when images
    lay ready each time that the codec asked, for twice as many images as there are downloads.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.threads = WITH_SLOW * most
        self._target = float(min(FIRST, most))
        self._calm = 0

    @property
    def target(self) -> int:
        """Return how many downloads may be under way, those not counted that are slow."""
        return int(self._target)

    def codec_waited(self, seconds: float) -> None:
        """Note that the codec had nothing to do for so long although all slots were taken."""
        if seconds < STARVED_SECONDS:
            return
        self._target = min(self._target * GROWTH, float(self.most))
        self._calm = 0

    def codec_served(self, *, more_ready: bool) -> None:
        """Note that the codec was given an image, and whether another one lies ready."""
        self._calm = self._calm + 1 if more_ready else 0
        if self._calm >= 2 * self.target:
            self._target = max(self._target - 1, 1.0)
            self._calm = 0


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


Item = TypeVar("Item")


class Stage(Enum):
    """How far an image has come."""

    FETCHING = auto()
    FETCHED = auto()
    AT_CODEC = auto()


class InFlight(Generic[Item]):
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


class ImagesInFlight(Generic[Item]):
    """The images in hand; any thread may ask, and add or drop its own."""

    def __init__(self, slots: ConcurrencyLimiter) -> None:
        self.slots = slots
        self._held: set[InFlight[Item]] = set()

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._held)

    def __iter__(self) -> Iterator[InFlight[Item]]:
        """Return those that are in hand at this moment."""
        return iter(list(self._held))

    def add(self, item: Item) -> InFlight[Item]:
        """Take an image in hand."""
        held = InFlight(item)
        self._held.add(held)
        return held

    def drop(self, held: InFlight[Item]) -> None:
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


log = logging.getLogger(__name__)

# The caller hears of so many before its tick.
MANY = 16

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
        """Add the outcome of an image; a failure wakes the caller at once."""
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


# A storage on another machine takes its time, while the codec goes on with the next image.
STORES = 4
# So many images may wait for the storage, or be on their way to it, before the codec pauses.
UNSTORED = 2 * STORES


class _Compressing(NamedTuple, Generic[Item]):
    item: Item
    deadline: float


class SliceRun(Generic[Item, Made, Done]):
    """The images of one run.

    Each stage hands an image to the next by itself, and the codec's thread makes room for the next
    download: the caller's thread is not woken for it. It is called for failures, for many results
    and where no image is to be had, and it alone refills the queue.
    """

    def __init__(
        self,
        lanes: Lanes,
        slots: ConcurrencyLimiter,
        queue: FetchQueue[Item],
        work: Work[Item, Made, Done],
    ) -> None:
        self.lanes, self.slots, self.queue, self.work = lanes, slots, queue, work
        self.images: ImagesInFlight[Item] = ImagesInFlight(slots)
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
            not held.fetching or self.work.wanted(held.item) for held in self.images
        )

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

    def _take(self) -> InFlight[Item] | None:
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

    def _download(self, held: InFlight[Item] | None) -> None:
        while held is not None:
            self._guarded(held, self._fetch)
            held = self._take()

    def _guarded(self, held: InFlight[Item], act: Callable[..., None], *arguments: Any) -> None:
        """Take an image through one stage, and what it raises to the caller."""
        try:
            act(held, *arguments)
        except BaseException as error:
            its_own = isinstance(error, ImageError) or not isinstance(
                error, (ImgcompressError, OSError)
            )
            if isinstance(error, Exception) and its_own:
                self._finish(held, error)
            else:
                self.results.end(error)
                self.images.drop(held)

    def _fetch(self, held: InFlight[Item]) -> None:
        try:
            data = self.work.fetch(held.item)
        finally:
            self.queue.put_down(held.item)
        held.stage = Stage.FETCHED
        self.lanes.codec.begin(partial(self._guarded, held, self._compress, data))

    def _compress(self, held: InFlight[Item], data: bytes) -> None:
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

    def _store(self, held: InFlight[Item], made: Made) -> None:
        try:
            done = self.work.store(held.item, made) if self.work.wanted(held.item) else None
        finally:
            self._unstored.release()
        self._finish(held, done)

    def _finish(self, held: InFlight[Item], outcome: Done | Exception | None) -> None:
        """Let an image go, and add its outcome if it is still wanted."""
        lost = isinstance(outcome, Exception) and not self.work.wanted(held.item)
        if outcome is not None and not lost:
            self.results.add(held.item, outcome)
        self.images.drop(held)
        if not self.images:
            self.results.call()


class CodecStuck(Exception):
    """An image never came back from the codec: this process cannot compress any more."""


class SliceRunner:
    """The threads of one worker process that fetch, compress and store images.

    Downloads run in up to `concurrency` threads, and in more while some of them wait for origins
    that hang. One thread compresses, since each core has a process of its own. The caller watches
    their time and renews its leases meanwhile.
    """

    def __init__(self, *, concurrency: int, tick: float = 0.25) -> None:
        self.slots = ConcurrencyLimiter(concurrency)
        self.tick = tick
        self.lanes = self._new_lanes()

    def run(
        self,
        queue: FetchQueue[Item],
        work: Work[Item, Made, Done],
    ) -> Iterator[list[tuple[Item, Done | ImageError]]]:
        """Yield images with their outcomes, as lists; once a tick at least, if it is empty.

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
