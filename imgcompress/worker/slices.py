"""A claimed slice: its images, their unwritten results, its lease and its time budget."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from ..errors import IMAGE_ERRORS, ImageError, LedgerUnavailable
from ..extensions import current_settings
from ..ledger.hosts import Source
from ..ledger.queries import find_job
from ..ledger.results import (
    LONGEST_POSTPONEMENT,
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
    release_slice,
)
from ..logs import bind
from ..net.fetcher import Deferred
from ..tracing import record
from .celeryconfig import SLICE_SECONDS
from .process import HOLD_SECONDS, process_name, retry_while_unavailable
from .queue import publish_due_deliveries, publish_slices
from .reuse import Reuse

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
# An image fails after it was postponed untried this often, because its host was busy or suspended.
MAX_WAITS = 50


def classify_failure(image: PendingImage, error: ImageError) -> Failure | Postponement:
    """Postpone an image if its error is temporary, up to MAX_ATTEMPTS attempts; else fail it."""
    log.debug("Image %s failed in attempt %d: %s", image.image_id, image.attempts + 1, error)
    untried = isinstance(error, Deferred)
    if (
        image.waits < MAX_WAITS
        if untried
        else error.retryable and image.attempts + 1 < MAX_ATTEMPTS
    ):
        # 1 s, 4 s, 16 s …, with a jitter of a quarter, so that images do not return at the same
        # time.
        delay = error.retry_after or float(4**image.attempts) * random.uniform(0.75, 1.25)
        return Postponement(image, min(delay, LONGEST_POSTPONEMENT), tried=not untried)
    found = error.found if IMAGE_ERRORS[error.code].grouped_by_found else ""
    return Failure(image, error.code, error.message, found)


def claimed(request_id: UUID, slice_no: int) -> Claim | None:
    """Claim a slice for this process; return None if it is not available."""
    return claim_slice(
        request_id, slice_no, lease_seconds=current_settings().lease_seconds, holder=process_name()
    )


@dataclass(eq=False)
class SliceImage:
    """An image of a claimed slice, and its source.

    The thread that holds the codec sets `looked_up` and `compressing`; the task's own thread
    changes everything else.
    """

    slice: ActiveSlice
    image: PendingImage
    source: Source
    compressing: bool = False
    # Whether the ledger was asked for other images with its content.
    looked_up: bool = False

    @property
    def begins(self) -> bool:
        """Return whether to begin fetching or compressing it; if not, it is dropped."""
        return not (self.slice.closing or self.slice.ended)

    @property
    def wanted(self) -> bool:
        """Return whether its result may still be written."""
        return not self.slice.ended


# Results are written once there are this many, or once they are this old. A slice usually has fewer:
# its last ones are written together with its end.
BATCH_IMAGES = 300
BATCH_SECONDS = 1.0
# A worker that has been idle for this long waits for an origin that hangs; other jobs may need it.
IDLE_SECONDS = 2.0


def slice_seconds(fetch_timeout: float) -> float:
    """Return the time budget of a slice, in which the slowest download must end.

    After that a slice begins no more images, so that no message is held for hours, and no job waits
    long behind a slice.
    """
    return max(SLICE_SECONDS, 2 * fetch_timeout)


def log_end(request_id: UUID) -> None:
    """Log that a job has ended, with its counts and its time."""
    try:
        job = find_job(request_id)
    except LedgerUnavailable:
        job = None
    # It may have been deleted, or reopened by a retry, since then.
    if job is None or job.finished_at is None:
        return
    log.info(
        "Job %s",
        job.status.lower(),
        extra={
            "images": job.total_images,
            "completed": job.completed_images,
            "failed": job.failed_images,
            "bytes": job.input_bytes,
            "bytes_after": job.output_bytes,
            "seconds": round((job.finished_at - job.created_at).total_seconds(), 1),
        },
    )


class ActiveSlice:
    """A claim, its unfinished images, and the results that are not written yet.

    Once it has `ended`, because it was released or its claim was lost, its results are dropped.
    Before that, when its time is up, it is `closing`: no more of its images are begun. The image in
    the codec is waited for; otherwise an image that takes longer than a slice would be retried
    forever. Only the task's thread changes it.
    """

    def __init__(self, claim: Claim, reuse: Reuse | None = None) -> None:
        settings = current_settings()
        self.claim = claim
        self.reuse = reuse or Reuse(claim, ())
        self.closing = self.ended = False
        self.closed_job = False
        self.unfinished: set[SliceImage] = set()
        self._lease_seconds = settings.lease_seconds
        self._results: list[Result] = []
        self._began = self._written = time.monotonic()
        self._time_is_up_at = self._began + slice_seconds(settings.fetch_timeout)
        self._idle_at = self._began + IDLE_SECONDS

    def bind_logs(self) -> None:
        """Add this slice to the context of the log."""
        bind(request_id=self.claim.request_id, slice_no=self.claim.slice_no)

    def begin(self, images: Iterable[SliceImage]) -> None:
        """Read the pending images."""
        self.unfinished.update(images)

    def add(self, item: SliceImage, outcome: Success | ImageError) -> None:
        """Take the result of an image; it is written by the write that it makes due, or later."""
        self.unfinished.discard(item)
        self._idle_at = time.monotonic() + IDLE_SECONDS
        if isinstance(outcome, ImageError):
            self.bind_logs()
            self._results.append(classify_failure(item.image, outcome))
        else:
            self._results.append(outcome)

    def write_if_due(self) -> None:
        """Write the results once they are many or old, and renew the lease in time.

        While the ledger is unavailable, results are kept and the work continues for HOLD_SECONDS:
        the claim may outlast its lease if no other process reaches the ledger either. Raise
        ClaimLost if the claim is no longer valid.
        """
        age = time.monotonic() - self._written
        due_after = BATCH_SECONDS if self._results else self._lease_seconds / 3
        if len(self._results) < BATCH_IMAGES and age < due_after:
            return
        try:
            self.closed_job |= record_results(
                self.claim, self._results, lease_seconds=self._lease_seconds
            )
        except LedgerUnavailable as error:
            if age > HOLD_SECONDS:
                raise
            log.warning("%d results are waiting for the database: %s", len(self._results), error)
            return
        self._results.clear()
        self._written = time.monotonic()

    @property
    def is_finished(self) -> bool:
        """Return whether nothing is left to do, or the rest is to be released."""
        self.closing = self.closing or self._time_is_up()
        return not self.unfinished or (
            self.closing and not any(item.compressing for item in self.unfinished)
        )

    def _time_is_up(self) -> bool:
        """Return whether its time is up, or it is idle while other jobs wait for a worker."""
        now = time.monotonic()
        if now > self._time_is_up_at:
            return True
        if now < self._idle_at:
            return False
        self._idle_at = now + 1
        try:
            return exceeds_fair_share(self.claim.request_id)
        except LedgerUnavailable:
            return False

    def release(self, delay: float = 0.0) -> None:
        """Write the last results and end the claim; other images are due after `delay` seconds.

        Raise ClaimLost, or LedgerUnavailable if waiting for the ledger did not help.
        """
        self.bind_logs()
        self.ended = True
        retry_while_unavailable(lambda: self._write_and_release(delay))
        claim, seconds = self.claim, time.monotonic() - self._began
        record("slice", claim.request_id, seconds, slice_no=claim.slice_no, attempt=claim.attempt)
        log.debug("Slice released", extra={"seconds": round(seconds, 3)})
        if self.unfinished:
            publish_slices(claim.request_id)
        if self.closed_job:
            log_end(claim.request_id)
            publish_due_deliveries()

    def _write_and_release(self, delay: float) -> None:
        if not self._results:
            release_slice(self.claim, delay_seconds=delay)
            return
        self.closed_job |= record_and_release(self.claim, self._results, delay_seconds=delay)
        self._results.clear()

    @property
    def stored_in_vain(self) -> list[str]:
        """Return the keys of stored images that were not written to the ledger."""
        return [
            result.storage_key
            for result in self._results
            if isinstance(result, Success) and result.taken_from is None
        ]
