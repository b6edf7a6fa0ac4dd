"""Take over results: those of an earlier job, and those of the same content in one job."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID

from ..ledger.changes import Earlier, EarlierResult, earlier_results
from ..ledger.models import Change
from ..ledger.results import Success
from ..ledger.slices import Claim, PendingImage
from ..net.fetcher import Fetched

HASH_CHARS = 32
# An entry takes about half a kilobyte.
REMEMBERED_CONTENTS = 10_000


class Original(NamedTuple):
    """The bytes of an image, and the data to check later whether they have changed."""

    data: bytes
    source_hash: str
    validator: str | None = None


class Reuse:
    """The results that the images of a slice may take over from the earlier job."""

    def __init__(self, claim: Claim, images: Sequence[PendingImage]) -> None:
        self._claim = claim
        self._earlier = earlier_results(claim, images) if claim.since_id else Earlier({})

    def trusted(self, image: PendingImage) -> Success | None:
        """Return the earlier result of an image where it is young enough to need no request."""
        earlier = self._earlier.results.get(image.ordinal)
        if earlier is None or not earlier.is_younger_than(self._claim.trust_seconds):
            return None
        return _taken_over(image, earlier, earlier.validator, spared=True, seen_at=earlier.seen_at)

    def validator(self, image: PendingImage) -> str | None:
        """Return the validator for a conditional request for an image."""
        earlier = self._earlier.results.get(image.ordinal)
        return earlier.validator if earlier and not self._claim.fresh else None

    def unchanged(self, image: PendingImage, fetched: Fetched) -> Success | Original:
        """Return the earlier result of an unchanged image, or else the fetched source."""
        earlier = self._earlier.results.get(image.ordinal)
        if earlier and fetched.not_modified:
            return _taken_over(image, earlier, fetched.validator or earlier.validator, spared=True)
        original = Original(
            fetched.data, sha256(fetched.data).hexdigest()[:HASH_CHARS], fetched.validator
        )
        if earlier and original.source_hash == earlier.source_hash:
            return _taken_over(image, earlier, fetched.validator, spared=False)
        return original

    def change(self, image: PendingImage) -> Change | None:
        """Return what a result of an image is that is not taken over from the earlier job."""
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
    spared: bool,
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
        spared=spared,
        seen_at=seen_at,
    )


class Contents:
    """The results of the contents that this process compressed last; threads may share them.

    A result is known from when it is compressed. Whoever takes it over may be written first, or it
    may never be written at all: the ledger then postpones the image, which is compressed for itself
    when it comes again.
    """

    def __init__(self, most: int = REMEMBERED_CONTENTS) -> None:
        self._most = most
        self._lock = Lock()
        self._results: OrderedDict[tuple[UUID, int, str, str], Success] = OrderedDict()

    def find(self, claim: Claim, image: PendingImage, original: Original) -> Success | None:
        """Return the result of another image of the job with this content and these options."""
        if image.waits:
            return None
        with self._lock:
            found = self._results.get(_content(claim, image, original))
        if found is None or found.image.image_id == image.image_id:
            return None
        return replace(
            found, image=image, validator=original.validator, taken_from=found.image.image_id
        )

    def add(self, claim: Claim, original: Original, result: Success) -> None:
        """Remember a result that this process will store."""
        with self._lock:
            self._results[_content(claim, result.image, original)] = result
            if len(self._results) > self._most:
                self._results.popitem(last=False)


def _content(claim: Claim, image: PendingImage, original: Original) -> tuple[UUID, int, str, str]:
    options: dict[str, Any] = claim.compression_of(image)
    return (
        claim.request_id,
        claim.epoch,
        original.source_hash,
        json.dumps(options, sort_keys=True),
    )
