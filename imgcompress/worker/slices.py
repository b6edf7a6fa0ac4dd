"""The slices that a worker process has in hand: claimed, recorded, extended and released.

Often it is one. Where the last images of a slice hang, or come from far away, the next slices are
begun meanwhile: no image waits for another's origin, and no job for another's.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from uuid import UUID

from ..errors import IMAGE_ERRORS, ImageError, LedgerUnavailable
from ..extensions import current_settings
from ..ledger.deletion import left_behind
from ..ledger.hosts import Source
from ..ledger.results import (
    LONGEST_POSTPONEMENT,
    ClaimLost,
    Failure,
    Postponement,
    Result,
    Success,
    record_and_release,
    record_results,
)
from ..ledger.slices import (
    Claim,
    PendingImage,
    claim_slice,
    exceeds_fair_share,
    next_slice,
    pending_images,
    release_slice,
)
from ..logs import bind
from ..net.fetcher import Deferred
from .celery_app import stopping
from .celeryconfig import SLICE_SECONDS
from .context import Encoded, WorkerContext
from .holder import process_name
from .hosts import FetchQueue
from .queue import publish_due_deliveries, publish_slices

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
# So often an image is put off untried, since its host is busy or left alone, before it fails.
MAX_WAITS = 50


def classify_failure(image: PendingImage, error: ImageError) -> Failure | Postponement:
    """Postpone an image whose fault may pass, up to MAX_ATTEMPTS attempts; else let it fail."""
    log.info("Image %s failed in attempt %d: %s", image.image_id, image.attempts + 1, error)
    if _may_pass(image, error):
        delay = min(error.retry_after or _backoff(image.attempts), LONGEST_POSTPONEMENT)
        return Postponement(image, delay, tried=not isinstance(error, Deferred))
    found = error.found if IMAGE_ERRORS[error.code].grouped_by_found else ""
    return Failure(image, error.code, error.message, found)


def _may_pass(image: PendingImage, error: ImageError) -> bool:
    if isinstance(error, Deferred):
        return image.waits < MAX_WAITS
    return error.retryable and image.attempts + 1 < MAX_ATTEMPTS


def _backoff(attempts: int) -> float:
    """Return 1 s, 4 s, 16 s … with a jitter of a quarter, so that images do not return in step."""
    return float(4**attempts) * random.uniform(0.75, 1.25)


# A worker that has had nothing to do for this long waits for an origin that hangs; it may have
# something better to do.
IDLE_SECONDS = 2.0


def slice_seconds(fetch_timeout: float) -> float:
    """Return the time of a slice, in which the slowest download must come to its end.

    After it a slice begins with no more images: no message is held for hours, and no job waits for
    long behind a slice.
    """
    return max(SLICE_SECONDS, 2 * fetch_timeout)


class TimeBudget:
    """The time of one slice of a job, in seconds."""

    def __init__(self, request_id: UUID, seconds: float) -> None:
        self.request_id = request_id
        self._end = time.monotonic() + seconds
        self.progressed()

    def progressed(self) -> None:
        """Note that an image of the slice was finished."""
        self._asks_at = time.monotonic() + IDLE_SECONDS

    def exhausted(self) -> bool:
        """Tell whether to stop: when time is up, or when we idle over it while other jobs wait."""
        now = time.monotonic()
        if now > self._end:
            return True
        if now < self._asks_at:
            return False
        self._asks_at = now + 1
        return self._crowds_out()

    def _crowds_out(self) -> bool:
        try:
            return exceeds_fair_share(self.request_id)
        except LedgerUnavailable:
            return False


Value = TypeVar("Value")

# A restart of the database takes less; after longer the work is done again by whoever gets to it.
HOLD_SECONDS = 60.0
PAUSE_SECONDS = 1.0


def retry_while_unavailable(act: Callable[[], Value], seconds: float = HOLD_SECONDS) -> Value:
    """Act on the ledger, again and again while it is away, for `seconds` or until a shutdown.

    Raise LedgerUnavailable when that did not help. What is acted may be committed although the
    answer was lost, so it must do no harm when it is done twice.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except LedgerUnavailable as error:
            if stopping() or time.monotonic() > end:
                raise
            log.warning("Waiting for the database: %s", error)
            time.sleep(PAUSE_SECONDS)


# More than a slice usually has: its last results are written together with its end.
BATCH_IMAGES = 100
BATCH_SECONDS = 1.0


@dataclass
class ResultWriter:
    """The results of one claim, written at most BATCH_SECONDS after they came."""

    claim: Claim
    lease_seconds: float
    closed: bool = False
    _batch: list[Result] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def add(self, result: Result) -> None:
        """Take a result; it is written by the flush that it makes due, or by a later one."""
        self._batch.append(result)

    @property
    def stored(self) -> list[str]:
        """Return the keys of the images that are stored and were not written to the ledger."""
        return [result.storage_key for result in self._batch if isinstance(result, Success)]

    def flush_if_due(self) -> None:
        """Write what has gathered when it is much or old, and renew the lease in good time.

        While the ledger is away the results are kept and the work goes on, for HOLD_SECONDS: the
        claim may stand for longer than its lease if nobody else reaches the ledger either.
        """
        age = time.monotonic() - self._written
        if len(self._batch) < BATCH_IMAGES and age < self._due_after():
            return
        try:
            self.flush()
        except LedgerUnavailable as error:
            if age > HOLD_SECONDS:
                raise
            log.warning("%d results are waiting for the database: %s", len(self._batch), error)

    def flush(self) -> None:
        """Write what has gathered. Raise ClaimLost when the claim no longer stands."""
        self.closed |= record_results(self.claim, self._batch, lease_seconds=self.lease_seconds)
        self._batch.clear()
        self._written = time.monotonic()

    def release(self, delay: float) -> None:
        """Write the rest, if there is any, and end the claim; see release_slice().

        Raise ClaimLost when there was something to write and the claim no longer stands.
        """
        if not self._batch:
            release_slice(self.claim, delay_seconds=delay)
            return
        self.closed |= record_and_release(self.claim, self._batch, delay_seconds=delay)
        self._batch.clear()

    def _due_after(self) -> float:
        return BATCH_SECONDS if self._batch else self.lease_seconds / 3


def claimed(request_id: UUID, slice_no: int) -> Claim | None:
    """Claim a slice for this process; return None if it is not to be had."""
    return claim_slice(
        request_id, slice_no, lease_seconds=current_settings().lease_seconds, holder=process_name()
    )


class ActiveSlice:
    """A claim, its images that are still to be done, and its results that are to be written.

    When it has `ended`, by its release or since its claim was lost, its images are nobody's here.
    Before that it is `closing`, when its time is up: nothing of it is compressed any more but what
    the codec has by then. That is waited for, or an image that outlasts the time of a slice would
    be tried again for ever.
    """

    def __init__(self, claim: Claim, images: int) -> None:
        settings = current_settings()
        self.claim = claim
        self.closing = self.ended = False
        self._left = images
        self._compressing: set[int] = set()
        self._began = time.monotonic()
        self._recorder = ResultWriter(claim, settings.lease_seconds)
        self._budget = TimeBudget(claim.request_id, slice_seconds(settings.fetch_timeout))

    def bind_logs(self) -> None:
        """Have what is logged from now on tell that it is about this slice."""
        bind(request_id=self.claim.request_id, slice_no=self.claim.slice_no)

    def compresses(self, image: PendingImage) -> None:
        """Note that an image goes to the codec; its result will come."""
        self._compressing.add(image.ordinal)

    def add(self, image: PendingImage, outcome: Success | ImageError) -> None:
        """Take the result of an image."""
        self._left -= 1
        self._compressing.discard(image.ordinal)
        self._budget.progressed()
        if isinstance(outcome, ImageError):
            self.bind_logs()
            self._recorder.add(classify_failure(image, outcome))
        else:
            self._recorder.add(outcome)

    def keep_up(self) -> None:
        """Write the results that are due, and renew the lease. Raise ClaimLost."""
        self._recorder.flush_if_due()

    @property
    def stored(self) -> list[str]:
        """Return the keys of the images that are stored and were not written to the ledger."""
        return self._recorder.stored

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing is left to be done, or the rest is to be handed back."""
        self.closing = self.closing or self._budget.exhausted()
        return not self._left or (self.closing and not self._compressing)

    def release(self, delay: float = 0.0) -> None:
        """Write the rest and end the claim; what is left is due after `delay` seconds.

        Raise ClaimLost, or LedgerUnavailable where waiting for the ledger did not help.
        """
        self.bind_logs()
        self.ended = True
        retry_while_unavailable(lambda: self._recorder.release(delay))
        seconds = round(time.monotonic() - self._began, 3)
        log.info("The slice is released", extra={"seconds": seconds})
        if self._left:
            publish_slices(self.claim.request_id)
        if self._recorder.closed:
            log.info("The job has ended")
            publish_due_deliveries()


# An image that hangs holds its slice for FETCH_TIMEOUT; so many of them may hold slices at a time.
MOST_SLICES = 16
# How often a task that could begin something asks whether there is a slice for it.
ASK_SECONDS = 0.25
# In quarantine an image cannot end its worker; a slice that still goes on doing so is given up.
MAX_CRASHES = 10


class SliceImage(NamedTuple):
    """An image, the slice that it belongs to, and the source that it comes from."""

    part: ActiveSlice
    image: PendingImage
    source: Source


class ActiveSlices:
    """The slices in hand, as the work of a SliceRunner (see `Work`)."""

    def __init__(self, bench: WorkerContext) -> None:
        self.bench = bench
        self.queue: FetchQueue[SliceImage] = FetchQueue(
            host_of=lambda item: item.source, limit_of=bench.limit_of
        )
        self.parts: list[ActiveSlice] = []
        # Then the message is acknowledged, and the next one comes.
        self._takes_on_until = time.monotonic() + SLICE_SECONDS
        self._asks_at = 0.0

    def run(self) -> None:
        """Work until nothing is in hand and no slice is to be had, or until a shutdown."""
        for results in self.bench.runner.run(self.queue, self):
            for result in results:
                self._take_note(*result)
            for part in self.parts:
                self._guarded(part, part.keep_up)
            self._end_parts(lambda part: part.is_finished)

    def take_on(self, claim: Claim) -> bool:
        """Take a claimed slice in hand; return whether it has images to be done."""
        publish_slices(claim.request_id)
        if claim.started_job:
            publish_due_deliveries()
        images = retry_while_unavailable(lambda: pending_images(claim))
        part = ActiveSlice(claim, len(images))
        self.parts.append(part)
        if claim.crashes > MAX_CRASHES:
            for image in images:
                part.add(image, ImageError("worker_crashed"))
            return False
        for image in images:
            if not image.readable:
                part.add(image, ImageError("internal_error", retryable=False))
        items = [
            SliceImage(part, image, self.bench.source_of(claim, image))
            for image in images
            if image.readable
        ]
        self.bench.circuits.look_up(claim.owner or "", {item.source.authority for item in items})
        self.queue.add(items)
        return bool(items)

    def hand_back(self, *, delay: float = 0.0) -> None:
        """Record what is done, and release every slice; they are due again after `delay` s."""
        self._end_parts(lambda part: True, delay)

    def fetch(self, item: SliceImage) -> bytes:
        """See Work."""
        return self.bench.fetch(item.part.claim, item.image, item.source)

    def compress(self, item: SliceImage, data: bytes) -> Encoded:
        """See Work."""
        item.part.compresses(item.image)
        return self.bench.compress(item.part.claim, item.image, data)

    def compress_seconds(self, item: SliceImage) -> float:
        """See Work."""
        return self.bench.compress_seconds(item.part.claim)

    def store(self, item: SliceImage, made: Encoded) -> Success:
        """See Work."""
        return self.bench.store(item.part.claim, item.image, made)

    def begins(self, item: SliceImage) -> bool:
        """See Work."""
        return not (item.part.closing or item.part.ended)

    def wanted(self, item: SliceImage) -> bool:
        """See Work."""
        return not item.part.ended

    def stopped(self) -> bool:
        """See Work."""
        return stopping()

    def refill(self) -> bool:
        """Claim another slice; see Work."""
        now = time.monotonic()
        if not self._asks_at <= now < self._takes_on_until or len(self.parts) >= MOST_SLICES:
            return False
        claim = self._claim_next()
        if claim is None:
            self._asks_at = now + ASK_SECONDS
            return False
        return self.take_on(claim)

    def _claim_next(self) -> Claim | None:
        try:
            found = next_slice(self._crowded_jobs())
            return found and claimed(*found)
        except LedgerUnavailable as error:
            log.warning("No slice can be claimed: %s", error)
            return None

    def _crowded_jobs(self) -> list[UUID]:
        """Return the jobs of which so many images wait here that others may take the rest."""
        waiting = Counter(item.part.claim.request_id for item in self.queue)
        return [job for job, images in waiting.items() if images >= self.bench.runner.slots.most]

    def _take_note(self, item: SliceImage, outcome: Success | ImageError) -> None:
        self.bench.note(item.part.claim, item.source, outcome)
        if not item.part.ended:
            item.part.add(item.image, outcome)
        elif isinstance(outcome, Success):
            self._take_away(item.part.claim, [outcome.storage_key])

    def _end_parts(self, ended: Callable[[ActiveSlice], bool], delay: float = 0.0) -> None:
        for part in [part for part in self.parts if part.ended or ended(part)]:
            self.parts.remove(part)
            if not part.ended:
                self._guarded(part, lambda: part.release(delay))

    def _guarded(self, part: ActiveSlice, act: Callable[[], None]) -> None:
        """Act on a slice; where its claim is lost, it alone is given up."""
        try:
            act()
        except ClaimLost as lost:
            part.bind_logs()
            log.info("The slice was abandoned: %s", lost)
            part.ended = True
            self._take_away(part.claim, part.stored)

    def _take_away(self, claim: Claim, keys: Collection[str]) -> None:
        """Delete images that were stored for nothing, since their job was cancelled or deleted."""
        try:
            self.bench.take_away(left_behind(claim.request_id, claim.epoch, keys) if keys else ())
        except LedgerUnavailable as error:
            log.warning("%d stored images stay until the next sweep: %s", len(keys), error)
