"""All metrics of the processes, and the share that a process has not saved yet.

Prometheus scrapes one process, and the answer must cover all of them, on all machines. So the sums
are kept in the ledger (`ledger/metric_values.py`). Counters of images and jobs are written there
with them; timings are collected here, and added to the ledger every few seconds.
"""

from __future__ import annotations

import atexit
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import Event, Lock, Thread
from typing import NamedTuple

SAVE_SECONDS = 5.0


class Sample(NamedTuple):
    """One number of a metric: the metric's name, with a suffix for histograms, and its labels."""

    name: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counter:
    """A count that only increases."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def sample(self, *labels: str) -> Sample:
        """Return the number with these values of the labels."""
        return Sample(self.name, labels)


class Share:
    """The unsaved measurements of this process; any thread may add to them."""

    def __init__(self) -> None:
        self._save: Callable[[], None] | None = None
        self.begin()

    def begin(self) -> None:
        """Clear the numbers, as each forked process must: they are its parent's."""
        self._lock = Lock()
        self._values: dict[Sample, float] = {}
        self._unsaved = Event()
        self._saver: Thread | None = None

    def add(self, values: Iterable[tuple[Sample, float]]) -> None:
        """Add to some numbers."""
        with self._lock:
            for sample, value in values:
                self._values[sample] = self._values.get(sample, 0.0) + value
        if not self._unsaved.is_set():
            self._wake_saver()

    def take(self) -> dict[Sample, float]:
        """Return all numbers and reset them; a caller that fails to save them adds them again."""
        with self._lock:
            self._unsaved.clear()
            values, self._values = self._values, {}
        return values

    def _wake_saver(self) -> None:
        with self._lock:
            if self._save and not self._saver:
                self._saver = Thread(target=self._save_forever, name="metrics", daemon=True)
                self._saver.start()
        self._unsaved.set()

    def save_by(self, save: Callable[[], None]) -> None:
        """Make a thread call `save`, which takes the numbers, a while after the first one is added.

        A process that is killed takes SAVE_SECONDS of timings with it.
        """
        self._save = save

    def save_now(self) -> None:
        """Save all numbers, before a process ends."""
        if self._save and self._unsaved.is_set():
            self._save()

    def _save_forever(self) -> None:
        while self._unsaved.wait():
            time.sleep(SAVE_SECONDS)
            self.save_now()


SHARE = Share()
os.register_at_fork(after_in_child=SHARE.begin)
atexit.register(SHARE.save_now)


@dataclass(frozen=True)
class Histogram:
    """Times in seconds, counted by upper bounds.

    The ledger stores a bound as its index, so other bounds need a metric with another name.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = field(default=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))

    def observe(self, seconds: float, *labels: str) -> None:
        """Add one time; this takes a few microseconds."""
        SHARE.add(
            (
                (_bucket(self.name, labels, bisect_left(self.bounds, seconds)), 1.0),
                (_sum(self.name, labels), seconds),
            )
        )

    def bucket(self, place: int, *labels: str) -> Sample:
        """Return the number of times within the bound at this index, and above the one before."""
        return _bucket(self.name, labels, place)

    def sum(self, *labels: str) -> Sample:
        """Return the sum of the times."""
        return _sum(self.name, labels)

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Time the block; its only label is whether it raised an error."""
        began, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "ok"
        finally:
            self.observe(time.monotonic() - began, outcome)


@cache
def _bucket(name: str, labels: tuple[str, ...], place: int) -> Sample:
    return Sample(f"{name}_bucket", (*labels, str(place)))


@cache
def _sum(name: str, labels: tuple[str, ...]) -> Sample:
    return Sample(f"{name}_sum", labels)


IMAGES_ENDED = Counter(
    "imgcompress_images",
    "Finished images, by outcome, and by error code if they failed.",
    ("outcome", "code"),
)
INPUT_BYTES = Counter("imgcompress_image_input_bytes", "Bytes of the sources of compressed images.")
OUTPUT_BYTES = Counter("imgcompress_image_output_bytes", "Bytes of compressed images.")
JPEG_ENGINE = Counter(
    "imgcompress_jpeg_engine",
    "JPEGs that stayed JPEGs: `used` if the engine"
    " made them, or else why they were decoded and encoded.",
    ("verdict",),
)
JOBS_ACCEPTED = Counter("imgcompress_jobs_accepted", "Uploads that were accepted as jobs.")
JOBS_ENDED = Counter("imgcompress_jobs_ended", "Jobs that ended.", ("status",))
DELIVERIES_ENDED = Counter(
    "imgcompress_deliveries_ended",
    "Webhooks and e-mails that were delivered, or failed for good.",
    ("channel", "state"),
)
COUNTERS = (
    IMAGES_ENDED,
    INPUT_BYTES,
    OUTPUT_BYTES,
    JPEG_ENGINE,
    JOBS_ACCEPTED,
    JOBS_ENDED,
    DELIVERIES_ENDED,
)

HTTP = Histogram(
    "imgcompress_http_request_seconds",
    "From request to response, including the time that callers chose to wait for a change.",
    ("method", "route", "status"),
)
FETCH = Histogram(
    "imgcompress_fetch_seconds",
    "Image downloads, including the wait for a free connection to the host.",
    ("outcome",),
)
COMPRESS = Histogram("imgcompress_compress_seconds", "Compressing one image.", ("outcome",))
STORE = Histogram("imgcompress_store_seconds", "Storing one compressed image.", ("outcome",))
DELIVERY = Histogram(
    "imgcompress_delivery_seconds",
    "Attempts to deliver webhooks and e-mails.",
    ("channel", "outcome"),
)
HISTOGRAMS = (HTTP, FETCH, COMPRESS, STORE, DELIVERY)
