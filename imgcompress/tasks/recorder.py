"""Gather results and write them to the ledger in short batches, renewing the lease on the way."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from ..errors import LedgerUnavailable
from ..ledger.recording import record_and_release, record_results
from ..ledger.results import Result, Success
from ..ledger.slices import Claim, release_slice
from .patience import HOLD_SECONDS

log = logging.getLogger(__name__)

# More than a slice usually has: its last results are written together with its end.
BATCH_IMAGES = 100
BATCH_SECONDS = 1.0


@dataclass
class Recorder:
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
