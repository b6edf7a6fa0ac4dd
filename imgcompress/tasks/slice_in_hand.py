"""One claimed slice from its first image to its release."""

from __future__ import annotations

import logging
import time
from uuid import UUID

from ..errors import ImageError
from ..extensions import current_settings
from ..ledger.results import Success
from ..ledger.slices import Claim, PendingImage, claim_slice
from ..logs import bind
from .attempts import judge
from .budget import Budget, slice_seconds
from .holder import process_name
from .patience import patiently
from .publish import publish_due_deliveries, publish_slices
from .recorder import Recorder

log = logging.getLogger(__name__)


def claimed(request_id: UUID, slice_no: int) -> Claim | None:
    """Claim a slice for this process; return None if it is not to be had."""
    return claim_slice(request_id, slice_no, lease_seconds=current_settings().lease_seconds,
                       holder=process_name())


class SliceInHand:
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
        self._recorder = Recorder(claim, settings.lease_seconds)
        self._budget = Budget(claim.request_id, slice_seconds(settings.fetch_timeout))

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
            self._recorder.add(judge(image, outcome))
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
        patiently(lambda: self._recorder.release(delay))
        seconds = round(time.monotonic() - self._began, 3)
        log.info("The slice is released", extra={"seconds": seconds})
        if self._left:
            publish_slices(self.claim.request_id)
        if self._recorder.closed:
            log.info("The job has ended")
            publish_due_deliveries()
