"""Find results to take over, from an earlier job or the same job, and removed images."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Hashable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, bindparam, cast, func, insert, select, update
from sqlalchemy.orm import Session

from .bulk import Deduplicator
from .clock import about_now
from .models import (
    ENDED_JOB,
    IMAGES,
    CompressedImage,
    ImageStatus,
    JobRequest,
    RemovedImages,
    UTCDateTime,
)
from .queries import ImagePage, find_job, find_readable_job, visible_to
from .session import connected, reading
from .slices import Claim, PendingImage

# How many of an owner's last jobs are searched for one with the same options.
LATEST_JOBS = 100
ROWS_AT_ONCE = 20_000


def latest_job(owner: str | None, options: dict[str, Any]) -> UUID | None:
    """Return the newest ended job of an owner with these options, if it compressed anything."""
    job = JobRequest
    of_owner = job.owner.is_(None) if owner is None else job.owner == owner
    with reading() as session:
        jobs = session.execute(
            select(job.request_id, job.options)
            .where(*visible_to(owner), of_owner, job.status.in_(ENDED_JOB))
            .where(job.completed_images > 0)
            .order_by(job.created_at.desc(), job.request_id.desc())
            .limit(LATEST_JOBS)
        )
        return next((row.request_id for row in jobs if row.options == options), None)


class EarlierImages:
    """The images of an earlier job, by their URLs and row options, while a new job is written.

    They take 17 to 33 bytes each.
    """

    def __init__(self, request_id: UUID) -> None:
        job = find_job(request_id)
        images = job.total_images if job else 0
        self._images = Deduplicator(images)
        # 1 for each image that the new job has not contained so far; repeated images do not count.
        self._unnamed = bytearray()
        for first in range(0, images, ROWS_AT_ONCE):
            firsts = self._images.firsts(_keys(request_id, first))
            self._unnamed += bytes(first is None for first in firsts)

    def ordinals(self, keys: Iterable[Hashable]) -> list[int | None]:
        """Return for each new image the ordinal of the earlier image with its key, or None.

        Two keys may share a hash: users of an ordinal compare the texts.
        """
        found = self._images.find(keys)
        unnamed = self._unnamed
        for ordinal in found:
            if ordinal is not None:
                unnamed[ordinal] = 0
        return found

    def write_removed(self, session: Session, request_id: UUID) -> None:
        """Record which of them the new job does not have."""
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == request_id)
            .values(removed_images=sum(self._unnamed))
        )
        if any(self._unnamed):
            session.execute(
                insert(RemovedImages).values(
                    request_id=request_id, ordinals=zlib.compress(self._unnamed)
                )
            )


def _keys(request_id: UUID, first: int) -> list[Hashable]:
    """Return the keys that identify images to fetch; the same as in bulk.py."""
    image = CompressedImage
    with reading() as session:
        rows = session.execute(
            select(image.input_url, cast(image.options, Text))
            .where(
                image.request_id == request_id,
                image.ordinal.between(first, first + ROWS_AT_ONCE - 1),
            )
            .order_by(image.ordinal)
        )
        return [(url, own) if own else url for url, own in rows]


def list_removed(job: JobRequest, *, after: int | None, skip: int, size: int) -> ImagePage:
    """Return images of the earlier job that this one no longer has, in order.

    They begin after ordinal `after`, or else after `skip` images; there are none once the earlier
    job is deleted.
    """
    image = CompressedImage
    with reading() as session:
        packed = session.scalar(
            select(RemovedImages.ordinals).where(RemovedImages.request_id == job.request_id)
        )
        if packed is None or job.since_id is None or find_job(job.since_id, job.owner) is None:
            return ImagePage([], None)
        flags = zlib.decompress(packed)
        ordinals: list[int] = []
        place = -1 if after is None else after
        skipped = 0 if after is None else skip
        while len(ordinals) <= size and (place := flags.find(1, place + 1)) >= 0:
            if skipped < skip and after is None:
                skipped += 1
            else:
                ordinals.append(place)
        images = session.scalars(
            select(image)
            .where(image.request_id == job.since_id, image.ordinal.in_(ordinals[:size]))
            .order_by(image.ordinal)
        )
        return ImagePage(list(images), ordinals[size - 1] if len(ordinals) > size else None)


class EarlierResult(NamedTuple):
    """The result of another image, of an earlier job or of the same; `image_id` is that image's."""

    image_id: UUID
    ordinal: int
    input_url: str
    options: dict[str, Any] | None
    outcome: str
    input_bytes: int
    output_bytes: int
    width: int
    height: int
    output_format: str
    quality: int | None
    score: float | None
    similarity: float | None
    advice_format: str | None
    advice_bytes: int | None
    storage_key: str
    source_hash: str | None
    validator: str | None
    # A time at or shortly before its source was last seen, by the ledger's clock.
    seen_at: datetime

    def is_younger_than(self, seconds: int | None) -> bool:
        """Return whether its source was seen within this many seconds; False for None."""
        return seconds is not None and (about_now() - self.seen_at).total_seconds() < seconds


class Earlier(NamedTuple):
    """The results that a slice may take over, by the ordinals of its own images.

    `differing` lists the images that the earlier job compressed with other options.
    """

    results: dict[int, EarlierResult]
    differing: Collection[int] = ()


def earlier_results(claim: Claim, images: Sequence[PendingImage]) -> Earlier:
    """Return the results of these images in the earlier job of a claim's job."""
    named = {image.earlier: image for image in images if image.earlier is not None}
    if claim.since_id is None or not named:
        return Earlier({})
    since = find_readable_job(claim.since_id, claim.owner)
    if since is None:
        return Earlier({})
    with reading() as session:
        rows = session.execute(_RESULTS, {"job": claim.since_id, "ordinals": list(named)})
        found = [EarlierResult._make(row) for row in rows]
    results = {
        image.ordinal: result
        for result in found
        if (image := named[result.ordinal]).input_url == result.input_url
        and image.options == result.options
    }
    if since.options != claim.options:
        return Earlier({}, results.keys())
    return Earlier(results)


# The columns of an EarlierResult, in its order.
_RESULT_OF_IMAGE = (
    *(IMAGES.c[name] for name in EarlierResult._fields if name != "seen_at"),
    func.coalesce(IMAGES.c.seen_at, IMAGES.c.created_at, type_=UTCDateTime),
)
_COMPLETED = IMAGES.c.request_id == bindparam("job"), IMAGES.c.status == ImageStatus.COMPLETED
_RESULTS = select(*_RESULT_OF_IMAGE).where(
    *_COMPLETED, IMAGES.c.ordinal.in_(bindparam("ordinals", expanding=True))
)


def content_ref(claim: Claim, image: PendingImage, source_hash: str) -> int:
    """Return the 63-bit number by which images of a job with this content are found.

    It is a hash of the job, the source and the options of the image.
    """
    content = [str(claim.request_id), source_hash, claim.compression_of(image)]
    digest = sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def results_of_contents(
    request_id: UUID, refs: Collection[int]
) -> dict[tuple[int, str | None], EarlierResult]:
    """Return the results of a job's images with these contents, by their refs and source hashes."""
    known: list[int] = []
    rest = list(refs)
    with connected() as connection:
        while some := rest[:REFS_AT_ONCE]:
            rest = rest[REFS_AT_ONCE:]
            some += some[:1] * (REFS_AT_ONCE - len(some))
            known += connection.scalars(_KNOWN, dict(zip(_REFS, some, strict=True)))
    if not known:
        return {}
    with reading() as session:
        return {
            (ref, result.source_hash): result
            for job, status, ref, *row in session.execute(_SAME_CONTENT, {"refs": known})
            if (job, status) == (request_id, ImageStatus.COMPLETED)
            for result in [EarlierResult._make(row)]
        }


# A fixed number, since each length of the list would compile another statement. Few are found.
REFS_AT_ONCE = 4
_REFS = [f"ref_{number}" for number in range(REFS_AT_ONCE)]
_KNOWN = select(IMAGES.c.content_ref).where(
    IMAGES.c.content_ref.in_([bindparam(name) for name in _REFS])
)
# Only by the ref: SQLite might otherwise use the index of the job's images, which may be a million.
_SAME_CONTENT = select(
    IMAGES.c.request_id, IMAGES.c.status, IMAGES.c.content_ref, *_RESULT_OF_IMAGE
).where(IMAGES.c.content_ref.in_(bindparam("refs", expanding=True)))
