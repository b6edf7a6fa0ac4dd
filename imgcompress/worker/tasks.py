"""The task that processes images: claim slices, take them through the pipeline, write the results.

Usually a task has one slice. If its last images hang, or come from far away, the next slices are
begun meanwhile, so that no image and no job waits for the origin of another.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import cache, partial
from threading import Thread
from uuid import UUID

from celery import shared_task

from ..errors import ImageError, LedgerUnavailable, StorageUnavailable
from ..extensions import current_settings
from ..ledger.deletion import left_behind
from ..ledger.results import ClaimLost, Success
from ..ledger.slices import Claim, next_slice, pending_images
from ..ledger.unreadable import replace_unreadable_job_fields
from ..logs import bind
from .celeryconfig import SLICE_SECONDS
from .pipeline import CodecStuck, Pipeline
from .process import retry_while_unavailable, stopping
from .queue import publish_due_deliveries, publish_slices
from .reuse import Reuse
from .slices import ActiveSlice, SliceImage, claimed
from .stages import ImageStages

log = logging.getLogger(__name__)

# The longest time between two checks of leases, results to write, and a shutdown.
TICK_SECONDS = 0.25
# An image that hangs holds its slice for FETCH_TIMEOUT, so a task may hold several slices at a time.
MOST_SLICES = 16
# How often a task with spare capacity looks for another slice.
ASK_SECONDS = 0.25
# In a codec process an image cannot end its worker; a slice whose workers still die is given up.
MAX_CRASHES = 10
# The seconds until a slice is retried after the storage failed.
STORAGE_DELAY = 10.0


@shared_task(name="process_csv")
def process_csv(request_id: str, slice_no: int) -> None:
    """Process the images of a slice of a job, or of another slice if a worker has this one already.

    The message only says that there is work: if anything fails here, the lease expires and recovery
    publishes the slice again.
    """
    bind(request_id=request_id, slice_no=slice_no)
    SliceTask(worker_pipeline(), (UUID(request_id), slice_no)).run()


@shared_task(name="process_waiting")
def process_waiting() -> None:
    """Process slices chosen by the ledger, as workers do while the broker accepts no messages."""
    SliceTask(worker_pipeline()).run()


@cache
def worker_pipeline() -> Pipeline:
    """Return this process's pipeline; it is made in the process that uses it, after the fork."""
    settings = current_settings()
    return Pipeline(ImageStages(settings), concurrency=settings.fetch_concurrency)


class SliceTask:
    """One task and its claimed slices; `named` is the one in its message."""

    def __init__(self, pipeline: Pipeline, named: tuple[UUID, int] | None = None) -> None:
        self.pipeline = pipeline
        self.stages = pipeline.stages
        self.slices: list[ActiveSlice] = []
        self._named = named
        # After it the message is acknowledged, and the next one comes.
        self._claims_until = time.monotonic() + SLICE_SECONDS
        self._asks_at = 0.0

    def run(self) -> None:
        """Process slices until none is left to finish or to claim, or until a shutdown.

        Raise LedgerUnavailable if nothing could be claimed. An image that hangs in the codec ends
        this process, once its failure and all other results are written.
        """
        delay, stuck = 0.0, False
        try:
            try:
                self._process()
            except StorageUnavailable as error:
                log.error("%d slices are waiting for the storage: %s", len(self.slices), error)
                delay = STORAGE_DELAY
            except CodecStuck as error:
                stuck = True
                error.item.slice.add(error.item, ImageError("compress_timeout"))
            except LedgerUnavailable:
                raise
            except Exception:
                # If a result cannot be written because the job's row is unreadable, this would
                # repeat whenever the lease expires.
                for job in {part.claim.request_id for part in self.slices}:
                    replace_unreadable_job_fields(job)
                raise
            self._release(self.slices, delay)
        except LedgerUnavailable as error:
            if not self.slices:
                raise
            log.error("Slices were abandoned; their leases will expire: %s", error)
        finally:
            for part in self.slices:
                part.ended = True
            self.pipeline.queue.drop_unwanted()
        if stuck:
            log.error("An image never returned from the codec; this process exits")
            os.kill(os.getpid(), signal.SIGKILL)

    def _process(self) -> None:
        # One whose results are all taken over is released by now.
        while not self.slices and self._claim_next() and not stopping():
            pass
        while self.slices and not stopping():
            self._take_results(TICK_SECONDS)
            for part in self.slices:
                self._unless_lost(part, part.write_if_due)
            self._release([part for part in self.slices if part.ended or part.is_finished])
            while (not self.slices or self.pipeline.queue.runs_dry()) and not stopping():
                in_hand = len(self.slices)
                if not self._claim_next() or 0 < len(self.slices) <= in_hand:
                    break  # The claimed ones come before another one that is released already.
        self._take_results(0.0)

    def _claim_next(self) -> bool:
        """Claim a slice and begin with its images; return whether there was one.

        It is the one of the message. After that, or where somebody else has it, it is the one that
        the ledger prefers.
        """
        now, claim = time.monotonic(), None
        try:
            if self._named:
                claim, self._named = claimed(*self._named), None
            if claim is None:
                if not self._asks_at <= now < self._claims_until or len(self.slices) >= MOST_SLICES:
                    return False
                self._asks_at = now + ASK_SECONDS
                # If enough images of a job wait here, other workers may take the rest.
                waiting = Counter(
                    item.slice.claim.request_id for item in self.pipeline.queue.waiting()
                )
                enough = self.pipeline.concurrency
                found = next_slice([job for job, images in waiting.items() if images >= enough])
                claim = found and claimed(*found)
        except LedgerUnavailable as error:
            if not self.slices:
                raise
            log.warning("No slice can be claimed: %s", error)
        if claim is None:
            return False
        self._asks_at = now
        self._begin(claim)
        return True

    def _begin(self, claim: Claim) -> None:
        publish_slices(claim.request_id)
        if claim.started_job:
            publish_due_deliveries()
        images = retry_while_unavailable(lambda: pending_images(claim))
        reuse = retry_while_unavailable(lambda: Reuse(claim, images))
        part = ActiveSlice(claim, reuse)
        self.slices.append(part)
        items = [SliceImage(part, image, self.stages.source_of(claim, image)) for image in images]
        part.unfinished.update(items)
        begun = []
        for item in items:
            if claim.crashes > MAX_CRASHES:
                part.add(item, ImageError("worker_crashed"))
            elif not (claim.readable and item.image.readable):
                part.add(item, ImageError("internal_error", retryable=False))
            elif (kept := reuse.trusted(item.image)) is not None:
                part.add(item, kept)
            else:
                begun.append(item)
        if begun:
            self.stages.circuits.look_up(
                claim.owner or "", {item.source.authority for item in begun}
            )
            self.pipeline.queue.add(begun)
        else:
            self._release([part])

    def _take_results(self, seconds: float) -> None:
        for item, outcome in self.pipeline.take(seconds):
            claim = item.slice.claim
            error = outcome if isinstance(outcome, ImageError) else None
            self.stages.circuits.note(item.source, error, claim.request_id)
            if not item.slice.ended:
                item.slice.add(item, outcome)
            elif isinstance(outcome, Success) and outcome.taken_from is None:
                self._delete_unwritten(claim, [outcome.storage_key])

    def _release(self, parts: Collection[ActiveSlice], delay: float = 0.0) -> None:
        for part in list(parts):
            if not part.ended:
                self._unless_lost(part, partial(part.release, delay))
            self.slices.remove(part)
            if part.unfinished:
                self.pipeline.queue.drop_unwanted()

    def _unless_lost(self, part: ActiveSlice, act: Callable[[], None]) -> None:
        """Call `act` on a slice; if its claim is lost, give up that slice only."""
        try:
            act()
        except ClaimLost as lost:
            part.bind_logs()
            log.info("The slice was abandoned: %s", lost)
            part.ended = True
            self._delete_unwritten(part.claim, part.stored_in_vain)

    def _delete_unwritten(self, claim: Claim, keys: Collection[str]) -> None:
        """Delete images that were stored in vain, because their job was cancelled or deleted."""
        try:
            unneeded = left_behind(claim.request_id, claim.epoch, keys) if keys else ()
        except LedgerUnavailable as error:
            log.warning("%d stored images stay until the next sweep: %s", len(keys), error)
            return
        if unneeded:
            Thread(target=self.stages.delete, args=(unneeded,), daemon=True).start()
