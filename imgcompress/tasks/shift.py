"""The slices that one task has in hand.

Often it is one. Where the last images of a slice hang, or come from far away, the next slices are
begun meanwhile: no image waits for another's origin, and no job for another's.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import NamedTuple
from uuid import UUID

from ..errors import ImageError, LedgerUnavailable
from ..ledger.circuits import Source
from ..ledger.fairness import next_slice
from ..ledger.orphans import left_behind
from ..ledger.recording import ClaimLost
from ..ledger.results import Success
from ..ledger.slices import Claim, PendingImage, pending_images
from ..pipeline.fetch_queue import FetchQueue
from .patience import patiently
from .processes import stopping
from .publish import publish_due_deliveries, publish_slices
from .slice_in_hand import SliceInHand, claimed
from .workbench import Made, Workbench

log = logging.getLogger(__name__)

# A task takes on slices for so long; then its message is acknowledged, and the next one comes.
TAKES_ON_SECONDS = 60.0
# An image that hangs holds its slice for FETCH_TIMEOUT; so many of them may hold slices at a time.
MOST_SLICES = 16
# How often a task that could begin something asks whether there is a slice for it.
ASK_SECONDS = 0.25
# In quarantine an image cannot end its worker; a slice that still goes on doing so is given up.
MAX_CRASHES = 10


class ImageInHand(NamedTuple):
    """An image, the slice that it belongs to, and the source that it comes from."""

    part: SliceInHand
    image: PendingImage
    source: Source


class Shift:
    """The slices in hand, as the work of a SliceRunner (see `Work`)."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.queue: FetchQueue[ImageInHand] = FetchQueue(
            host_of=lambda item: item.source, limit_of=bench.limit_of)
        self.parts: list[SliceInHand] = []
        self._takes_on_until = time.monotonic() + TAKES_ON_SECONDS
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
        images = patiently(lambda: pending_images(claim))
        part = SliceInHand(claim, len(images))
        self.parts.append(part)
        if claim.crashes > MAX_CRASHES:
            for image in images:
                part.add(image, ImageError("worker_crashed"))
            return False
        for image in images:
            if not image.readable:
                part.add(image, ImageError("internal_error", retryable=False))
        items = [ImageInHand(part, image, self.bench.source_of(claim, image))
                 for image in images if image.readable]
        self.bench.circuits.look_up(claim.owner or "", {item.source.authority for item in items})
        self.queue.add(items)
        return bool(items)

    def hand_back(self, *, delay: float = 0.0) -> None:
        """Record what is done, and release every slice; they are due again after `delay` s."""
        self._end_parts(lambda part: True, delay)

    def fetch(self, item: ImageInHand) -> bytes:
        """See Work."""
        return self.bench.fetch(item.part.claim, item.image, item.source)

    def compress(self, item: ImageInHand, data: bytes) -> Made:
        """See Work."""
        item.part.compresses(item.image)
        return self.bench.compress(item.part.claim, item.image, data)

    def compress_seconds(self, item: ImageInHand) -> float:
        """See Work."""
        return self.bench.compress_seconds(item.part.claim)

    def store(self, item: ImageInHand, made: Made) -> Success:
        """See Work."""
        return self.bench.store(item.part.claim, item.image, made)

    def begins(self, item: ImageInHand) -> bool:
        """See Work."""
        return not (item.part.closing or item.part.ended)

    def wanted(self, item: ImageInHand) -> bool:
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

    def _take_note(self, item: ImageInHand, outcome: Success | ImageError) -> None:
        self.bench.note(item.part.claim, item.source, outcome)
        if not item.part.ended:
            item.part.add(item.image, outcome)
        elif isinstance(outcome, Success):
            self._take_away(item.part.claim, [outcome.storage_key])

    def _end_parts(self, ended: Callable[[SliceInHand], bool], delay: float = 0.0) -> None:
        for part in [part for part in self.parts if part.ended or ended(part)]:
            self.parts.remove(part)
            if not part.ended:
                self._guarded(part, lambda: part.release(delay))

    def _guarded(self, part: SliceInHand, act: Callable[[], None]) -> None:
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
