"""The threads of a worker process, each of which takes an image from its host to the storage.

    HostQueue.take() -> fetch -> the codec, when it is free -> store -> take()

One image at a time is compressed, since each core has a worker process of its own. A thread that
has fetched its image waits for the codec. While READY images wait, no thread begins a download, so
a near host serves one at a time and a far one many. The thread of the task adds images and takes
their results. It wakes seldom: for failures, for the last images, when a thread finds nothing to
fetch, and at its tick.

Several threads share

* the images to fetch, those being fetched, and the number of ready ones: HostQueue, under its own
  lock;
* the codec: `_codec`, a lock, whose holder replaces `_at_codec` as a whole for the task to read, and
  empties `_unseen`;
* `_results` and `_unseen`, deques, whose ends are atomic;
* the state of an image's slice, which only the task changes. A thread reads it before each step. If
  it reads too early, the work on one image is wasted: the fencing token rejects its result.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain

from ..errors import ImageError, ImgcompressError
from ..ledger.hosts import Source
from ..ledger.results import Success
from .process import WITH_SLOW
from .reuse import Original
from .slices import SliceImage
from .stages import ImageStages

log = logging.getLogger(__name__)

# When this many images are ready for the codec, no more are fetched. More would take memory for a
# near host's images, and fewer would make the codec wait for a far host.
READY = 4
# While fewer are ready, another thread is woken to fetch. Otherwise the threads that return from
# the storage suffice.
FEW_READY = 2
# A download that takes longer is waiting for its origin. It costs only its thread, so another
# thread replaces it.
SLOW_SECONDS = 2.0


# The concurrent downloads of a source, at first and at least. If they end within NEAR_SECONDS,
# times their number, the origin is near: more threads would only wait for each other (a conditional
# request takes 0.2 ms of CPU with one thread, and 0.4 ms with 16). If they take longer than
# FAR_SECONDS, they wait for their origin, so more can run.
FIRST_AT_ONCE, LEAST_AT_ONCE = 4, 1
NEAR_SECONDS, FAR_SECONDS = 0.001, 0.002
# A source with a download that takes longer than this gets all that its limit allows.
LATE_SECONDS = 0.1
REMEMBERED_SOURCES = 1024


class HostQueue:
    """The images to fetch, queued by source, in order.

    The next image comes from the source with the fewest downloads, among those below their limit.
    So a host that hangs or throttles gets no more downloads than its share, and a near host no more
    than it can keep busy. Any thread may call it.
    """

    def __init__(
        self, limit_of: Callable[[Source], int], on_dry: Callable[[], None] = lambda: None
    ) -> None:
        self._limit_of = limit_of
        # Called under the lock when a thread finds no image to fetch.
        self._on_dry = on_dry
        self._changed = threading.Condition()
        self._waiting: dict[Source, deque[SliceImage]] = {}
        self._began: dict[SliceImage, float] = {}
        self._fetching: Counter[Source] = Counter()
        # How many concurrent downloads of a source are useful; see FIRST_AT_ONCE.
        self._at_once: dict[Source, int] = {}
        self._idle = self._ready = 0
        self._closed = False

    def __bool__(self) -> bool:
        """Return whether images wait."""
        return bool(self._waiting)

    def add(self, items: Iterable[SliceImage]) -> None:
        """Append images to the queues of their sources."""
        with self._changed:
            for item in items:
                self._waiting.setdefault(item.source, deque()).append(item)
            self._changed.notify(READY)

    def take(self, *, wait: bool = True) -> SliceImage | None:
        """Return the next image, and count it as being fetched; wait until there is one.

        Return None once the queue is closed, or without `wait` if there is none.
        """
        with self._changed:
            item = self._next()
            if item is not None or not wait:
                return item
            if self._ready < READY:
                self._on_dry()
            self._idle += 1
            while item is None and not self._closed:
                self._changed.wait()
                item = self._next()
            self._idle -= 1
            return item

    def _next(self) -> SliceImage | None:
        if self._closed or self._ready >= READY:
            return None
        open_sources = [
            source
            for source in self._waiting
            if self._fetching[source] < self._at_once.get(source, FIRST_AT_ONCE)
            and self._fetching[source] < self._limit_of(source)
        ]
        if not open_sources:
            return None
        source = min(open_sources, key=self._fetching.__getitem__)
        item = self._waiting[source].popleft()
        if not self._waiting[source]:
            del self._waiting[source]
        self._fetching[source] += 1
        self._began[item] = time.monotonic()
        return item

    def put_down(self, item: SliceImage, *, ready: bool = False, takes_next: bool = False) -> None:
        """Free the place of an image at its source for the next one, unless that was done before.

        With `ready`, count the image as ready for the codec. With `takes_next`, the calling thread
        calls take() at once, so no other thread has to be woken.
        """
        with self._changed:
            self._ready += ready
            began = self._began.pop(item, None)
            if began is None:
                return
            self._fetching[item.source] -= 1
            has_grown = self._note_time(item.source, time.monotonic() - began)
            enough = READY if has_grown else 0 if takes_next else FEW_READY
            if self._waiting and self._ready < enough:
                self._changed.notify()

    def _note_time(self, source: Source, seconds: float) -> bool:
        """Record the time of a download; return whether one more from its source is useful."""
        at_once = self._at_once.get(source, FIRST_AT_ONCE)
        change = (seconds > FAR_SECONDS * at_once) - (seconds < NEAR_SECONDS * at_once)
        if not change:
            return False
        if len(self._at_once) >= REMEMBERED_SOURCES:
            self._at_once.clear()
        limit = max(self._limit_of(source), LEAST_AT_ONCE)
        self._at_once[source] = min(max(at_once + change, LEAST_AT_ONCE), limit)
        return self._at_once[source] > at_once

    def hand_on(self) -> None:
        """Count a ready image as being compressed, so that another one may be fetched."""
        with self._changed:
            self._ready -= 1
            if self._waiting and not self._ready:
                self._changed.notify()

    def look_again(self) -> None:
        """Wake more threads to fetch if the codec waits, or if the limit of a source has risen.

        The threads woken for added images may all be busy with hosts that hang.
        """
        with self._changed:
            if not self._waiting or self._ready:
                return
            before = time.monotonic() - LATE_SECONDS
            late = {item.source for item, began in self._began.items() if began < before}
            self._at_once |= {source: self._limit_of(source) for source in late}
            self._changed.notify(self._idle if late else READY)

    def runs_dry(self) -> bool:
        """Return whether threads find too few images that they may fetch, and the codec soon none.

        Then another slice should be claimed.
        """
        with self._changed:
            room = sum(
                min(len(items), max(0, self._limit_of(source) - self._fetching[source]))
                for source, items in self._waiting.items()
            )
            return self._ready < READY and room < self._idle

    def drop_unwanted(self) -> None:
        """Drop the images whose slices have ended."""
        with self._changed:
            waiting = [item for item in chain.from_iterable(self._waiting.values()) if item.wanted]
            self._waiting.clear()
            for item in waiting:
                self._waiting.setdefault(item.source, deque()).append(item)

    def waiting(self) -> list[SliceImage]:
        """Return the waiting images."""
        with self._changed:
            return list(chain.from_iterable(self._waiting.values()))

    @property
    def has_idle(self) -> bool:
        """Return whether a thread waits for an image."""
        return self._idle > 0

    def slow(self) -> int:
        """Return how many images have been fetched for longer than SLOW_SECONDS."""
        since = time.monotonic() - SLOW_SECONDS
        with self._changed:
            return sum(began <= since for began in self._began.values())

    def close(self) -> None:
        """Wake all waiting threads, which end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class CodecStuck(Exception):
    """An image hangs in the codec: this process cannot compress any more."""

    def __init__(self, item: SliceImage) -> None:
        super().__init__(item.image.image_id)
        self.item = item


class Pipeline:
    """The threads of one worker process, which outlive its tasks, and the images in them.

    `concurrency` threads fetch, plus one for each that waits for an origin that hangs.
    """

    def __init__(self, stages: ImageStages, *, concurrency: int) -> None:
        self.stages = stages
        self.concurrency = concurrency
        self._woken = threading.Event()
        self.queue = HostQueue(stages.limit_of, on_dry=self._woken.set)
        self._codec = threading.Lock()
        # The images that wait for the codec and have not been looked up yet.
        self._unseen: deque[tuple[SliceImage, Original]] = deque()
        self._results: deque[tuple[SliceImage, Success | Exception]] = deque()
        self._at_codec: tuple[SliceImage, float] | None = None
        # Used by the task alone: the images that it last received, and the threads added for slow
        # downloads.
        self._taken: list[SliceImage] = []
        self._extra: list[threading.Thread | None] = [None] * ((WITH_SLOW - 1) * concurrency)
        for number in range(concurrency):
            self._start(f"image-{number}", self._carry_next)

    def take(self, seconds: float) -> list[tuple[SliceImage, Success | ImageError]]:
        """Return the finished images, after `seconds` at most.

        The caller has acted on those returned last; the source of one that could not be fetched
        waits for that. Raise CodecStuck, or the error that ended the task, once the caller has all
        earlier results.
        """
        for item in self._taken:
            self.queue.put_down(item)
        self.queue.look_again()
        self._replace_slow_downloads()
        if not self._results:
            self._woken.wait(seconds)
        self._woken.clear()
        results: list[tuple[SliceImage, Success | ImageError]] = []
        while self._results:
            item, outcome = self._results.popleft()
            if isinstance(outcome, (Success, ImageError)):
                results.append((item, outcome))
            elif not item.wanted:
                continue
            elif results:
                self._results.appendleft((item, outcome))
                break
            else:
                raise outcome
        at_codec = self._at_codec
        if not results and at_codec and time.monotonic() > at_codec[1]:
            raise CodecStuck(at_codec[0])
        self._taken = [item for item, _ in results]
        return results

    def close(self) -> None:
        """End the threads, each after its current image."""
        self.queue.close()

    def _carry_next(self, *, wait: bool = True) -> bool:
        """Take the next image from its host to the storage; return whether there was one."""
        item = self.queue.take(wait=wait)
        if item is None:
            return False
        if not item.begins:
            self.queue.put_down(item)
            return True
        try:
            result = self._carry(item)
        except BaseException as error:
            # An image that was not fetched keeps its place at its source until the task has noted
            # the failure: it may suspend the host.
            self._end(item, error)
        else:
            if result is not None:
                self._end(item, result)
        return True

    def _carry(self, item: SliceImage) -> Success | None:
        """Fetch, compress and store an image; return None if its slice ends before that."""
        original = self.stages.fetch(item)
        if isinstance(original, Success):
            self.queue.put_down(item, takes_next=True)
            return original
        self._unseen.append((item, original))
        self.queue.put_down(item, ready=True)
        with self._codec:
            self.queue.hand_on()
            if not item.looked_up:
                self._look_up()
            # In this order: a slice that is closing waits for an image that is being compressed.
            item.compressing = True
            if not item.begins:
                item.compressing = False
                return None
            self._at_codec = item, time.monotonic() + self.stages.compress_seconds(item)
            try:
                encoded = self.stages.compress(item, original)
            finally:
                self._at_codec = None
        del original  # A storage on another machine may be slow.
        if isinstance(encoded, Success):
            return encoded
        return self.stages.store(item, encoded) if item.wanted else None

    def _look_up(self) -> None:
        """Look up whether other processes have compressed the waiting images.

        A query costs as much for several images as for one.
        """
        ready = []
        while self._unseen:
            item, original = self._unseen.popleft()
            item.looked_up = True
            ready.append((item, original))
        self.stages.look_up(ready)

    def _end(self, item: SliceImage, outcome: Success | BaseException) -> None:
        """Pass a result to the task; waking it for each one would cost more than its work."""
        if isinstance(outcome, BaseException) and not isinstance(
            outcome, (ImgcompressError, OSError)
        ):
            log.error("Unexpected error while an image was processed", exc_info=outcome)
            outcome = ImageError("internal_error", detail=repr(outcome))
        assert isinstance(outcome, (Success, Exception))
        self._results.append((item, outcome))
        if not self.queue or isinstance(outcome, Exception):
            self._woken.set()

    def _replace_slow_downloads(self) -> None:
        """Start one more thread for each slow download, unless another is idle."""
        if not self.queue or self.queue.has_idle:
            return
        for number, thread in enumerate(self._extra[: self.queue.slow()]):
            if thread is None or not thread.is_alive():
                self._extra[number] = self._start(
                    f"fetch-slow-{number}", partial(self._fetch_instead, number)
                )

    def _fetch_instead(self, number: int) -> bool:
        return number < self.queue.slow() and self._carry_next(wait=False)

    def _start(self, name: str, act: Callable[[], bool]) -> threading.Thread:
        """Start a thread that calls `act` until there is nothing more to do."""

        def act_on() -> None:
            while act():
                pass

        thread = threading.Thread(target=act_on, name=name, daemon=True)
        thread.start()
        return thread
