"""Take over results of an earlier job, and of the same content within one job."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from ..ledger.changes import (
    Earlier,
    EarlierResult,
    content_ref,
    earlier_results,
    results_of_contents,
)
from ..ledger.models import Change
from ..ledger.results import Success
from ..ledger.session import met_trouble
from ..ledger.slices import Claim, PendingImage
from ..net.fetcher import Fetched

log = logging.getLogger(__name__)

HASH_CHARS = 32
# An entry takes about half a kilobyte.
REMEMBERED_CONTENTS = 10_000
# If the ledger failed within these seconds, the codec does not wait for it again.
TROUBLE_SECONDS = 10.0


class Original(NamedTuple):
    """The bytes of an image, and the data to check later whether they have changed."""

    data: bytes
    source_hash: str
    # See content_ref().
    content_ref: int
    validator: str | None = None


class Reuse:
    """The results of the earlier job that the images of a slice may take over."""

    def __init__(self, claim: Claim, images: Sequence[PendingImage]) -> None:
        self._claim = claim
        self._earlier = earlier_results(claim, images) if claim.since_id else Earlier({})

    def trusted(self, image: PendingImage) -> Success | None:
        """Return the earlier result of an image if it is recent enough to need no request."""
        earlier = self._earlier.results.get(image.ordinal)
        if earlier is None or not earlier.is_younger_than(self._claim.trust_seconds):
            return None
        return _taken_over(
            image, earlier, earlier.validator, not_downloaded=True, seen_at=earlier.seen_at
        )

    def validator(self, image: PendingImage) -> str | None:
        """Return the validator for a conditional request for an image."""
        earlier = self._earlier.results.get(image.ordinal)
        return earlier.validator if earlier and not self._claim.fresh else None

    def unchanged(self, image: PendingImage, fetched: Fetched) -> Success | Original:
        """Return the earlier result of an unchanged image, or else the fetched source."""
        earlier = self._earlier.results.get(image.ordinal)
        if earlier and fetched.not_modified:
            return _taken_over(
                image, earlier, fetched.validator or earlier.validator, not_downloaded=True
            )
        source_hash = sha256(fetched.data).hexdigest()[:HASH_CHARS]
        if earlier and source_hash == earlier.source_hash:
            return _taken_over(image, earlier, fetched.validator)
        ref = content_ref(self._claim, image, source_hash)
        return Original(fetched.data, source_hash, ref, fetched.validator)

    def change(self, image: PendingImage) -> Change | None:
        """Return the change of an image whose result is not taken over from the earlier job."""
        if not self._claim.compares:
            return None
        was_there = (
            image.ordinal in self._earlier.results or image.ordinal in self._earlier.differing
        )
        return Change.CHANGED if was_there else Change.NEW


def _taken_over(
    image: PendingImage,
    earlier: EarlierResult,
    validator: str | None,
    *,
    not_downloaded: bool = False,
    seen_at: datetime | None = None,
) -> Success:
    return Success(
        image,
        outcome=earlier.outcome,
        input_bytes=earlier.input_bytes,
        output_bytes=earlier.output_bytes,
        width=earlier.width,
        height=earlier.height,
        output_format=earlier.output_format,
        extension=earlier.storage_key.rpartition(".")[2],
        quality=earlier.quality,
        score=earlier.score,
        similarity=earlier.similarity,
        advice_format=earlier.advice_format,
        advice_bytes=earlier.advice_bytes,
        storage_key=earlier.storage_key,
        source_hash=earlier.source_hash,
        validator=validator,
        change=Change.UNCHANGED,
        taken_from=earlier.image_id,
        not_downloaded=not_downloaded,
        seen_at=seen_at,
    )


class Contents:
    """Results by content: those that this process met recently, and those in the ledger.

    A result is known as soon as it is compressed. The image that takes it over may be written
    first, or the result may never be written: then the ledger postpones the image. At the next
    attempt it is compressed, or takes over a result that is in the ledger by then. Threads may
    share the results.
    """

    def __init__(self, most: int = REMEMBERED_CONTENTS) -> None:
        self._most = most
        self._lock = Lock()
        self._results: OrderedDict[tuple[UUID, int, int, str], Success] = OrderedDict()
        # The application, for threads without its context.
        self._context = copy_context()

    def find(self, claim: Claim, image: PendingImage, original: Original) -> Success | None:
        """Return the known result of another image of the job with this content and options."""
        with self._lock:
            found = self._results.get(_content(claim, original))
        if found is None or (image.waits and found.taken_from is None):
            return None
        taken_from = found.taken_from or found.image.image_id
        if taken_from == image.image_id:
            return None
        return replace(found, image=image, validator=original.validator, taken_from=taken_from)

    def look_up(self, claim: Claim, images: Sequence[tuple[PendingImage, Original]]) -> None:
        """Look up the results of other processes for the contents of some images."""
        with self._lock:
            for image, original in images:
                if image.waits:  # The result that it was to take over may be gone.
                    self._results.pop(_content(claim, original), None)
        unknown = [pair for pair in images if self.find(claim, *pair) is None]
        if not unknown or met_trouble(within=TROUBLE_SECONDS):
            return
        try:
            found = self._context.run(
                results_of_contents,
                claim.request_id,
                {original.content_ref for _, original in unknown},
            )
        except Exception as error:
            log.warning("Images of the same content cannot be looked up: %s", error)
            return
        for image, original in unknown:
            result = found.get((original.content_ref, original.source_hash))
            if result is not None and result.image_id != image.image_id:
                self.add(claim, original, _taken_over(image, result, None))

    def add(self, claim: Claim, original: Original, result: Success) -> None:
        """Remember a result that this process is about to store, or that is in the ledger."""
        with self._lock:
            self._results[_content(claim, original)] = result
            if len(self._results) > self._most:
                self._results.popitem(last=False)


def _content(claim: Claim, original: Original) -> tuple[UUID, int, int, str]:
    return claim.request_id, claim.epoch, original.content_ref, original.source_hash
