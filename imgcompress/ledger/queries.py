"""Queries for callers: jobs, images, and the URLs of compressed images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, literal_column, or_, select

from ..errors import LedgerUnavailable
from .clock import about_now
from .models import (
    ACTIVE_JOB,
    FOUND_CHARS,
    CompressedImage,
    ImageStatus,
    JobDeletion,
    JobFailure,
    JobRequest,
    JobScore,
    WebhookDelivery,
)
from .session import reading
from .unreadable import JobUnreadable, check_readable

# A worker with a slice of a job renews its lease, and updates the job's row, several times a
# minute.
STALLED_AFTER = timedelta(seconds=60)
FAILURE_GROUPS_SHOWN = 100
OUTCOME_BATCH = 2000


class Outcome(NamedTuple):
    """The outcome of one image so far; neither a URL nor an error while it is PENDING."""

    ordinal: int
    row_number: int
    position: int
    output_url: str | None
    error_code: str | None
    error_message: str | None
    change: str | None = None
    points: float | None = None
    advice_format: str | None = None
    advice_bytes: int | None = None
    input_bytes: int | None = None

    @property
    def score(self) -> str | None:
        """Return the score as a text with one decimal place."""
        return None if self.points is None else f"{self.points:.1f}"

    @property
    def advice(self) -> str | None:
        """Return the advised format, and the percentage of the input that it would save."""
        if not self.advice_format or not self.input_bytes:
            return None
        saved = 100 - 100 * (self.advice_bytes or 0) / self.input_bytes
        return f"{self.advice_format} {saved:.0f}%"

    @property
    def error(self) -> str | None:
        """Return the code and the message of a failure as one text."""
        return self.error_code and f"{self.error_code}: {self.error_message}"


class Progress(NamedTuple):
    """The progress of a job."""

    status: str
    completion_percentage: int

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self.status not in ACTIVE_JOB


class NamedImage(NamedTuple):
    """A compressed image, where it is stored, and the parts of its file's name."""

    ordinal: int
    row_number: int
    position: int
    product_name: str
    output_name: str | None
    storage_key: str


Row = TypeVar("Row", Outcome, NamedImage)


class StoredImage(NamedTuple):
    """Where a compressed image is stored, and its format, such as `jpeg`."""

    storage_key: str
    output_format: str


@dataclass(frozen=True)
class ImageFilter:
    """A filter of a job's images; None stands for any value.

    Failed ones by the code, the host of the URL, and `found`; compressed ones by outcome and by
    change.
    """

    status: str | None = None
    code: str | None = None
    host: str | None = None
    found: str | None = None
    outcome: str | None = None
    change: str | None = None

    @property
    def looks_through(self) -> bool:
        """Return whether the filter needs to read rows of images, not only an index."""
        return any((self.code, self.host, self.found, self.outcome, self.change))


ANY_IMAGE = ImageFilter()


def visible_to(owner: str | None) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that an owner can see a job; None stands for all owners."""
    deleted = exists().where(JobDeletion.request_id == JobRequest.request_id).correlate(JobRequest)
    return (~deleted,) if owner is None else (~deleted, JobRequest.owner == owner)


def find_job(request_id: UUID, owner: str | None = None) -> JobRequest | None:
    """Return the job, or None when there is none that this owner can see.

    Raise JobUnreadable if its row is damaged.
    """
    query = _ANY_JOB if owner is None else _OWN_JOB
    try:
        with reading() as session:
            return session.scalar(query, {"job": request_id, "owner": owner})
    except LedgerUnavailable:
        raise
    except Exception:
        check_readable(request_id)
        raise


def find_readable_job(request_id: UUID, owner: str | None = None) -> JobRequest | None:
    """Return the job, or None when there is none, or its row is damaged."""
    try:
        return find_job(request_id, owner)
    except JobUnreadable:
        return None


def stalled_since(job: JobRequest) -> datetime | None:
    """Return when an active job last moved, if that is more than STALLED_AFTER ago."""
    stalled = job.status in ACTIVE_JOB and about_now() - job.updated_at > STALLED_AFTER
    return job.updated_at if stalled else None


def last_delivery(request_id: UUID) -> WebhookDelivery | None:
    """Return the delivery of the job's last event, preferably the webhook."""
    delivery = WebhookDelivery
    with reading() as session:
        return session.scalars(
            select(delivery)
            .where(delivery.request_id == request_id)
            .order_by(delivery.epoch.desc(), delivery.created_at.desc(), delivery.channel.desc())
            .limit(1)
        ).one_or_none()


_ANY_JOB = select(JobRequest).where(JobRequest.request_id == bindparam("job"), *visible_to(None))
_OWN_JOB = _ANY_JOB.where(JobRequest.owner == bindparam("owner"))


def progress_of(request_id: UUID) -> Progress | None:
    """Return the job's progress with one index lookup; None if there is no such job."""
    with reading() as session:
        row = session.execute(
            select(JobRequest.status, JobRequest.completion_percentage).where(
                JobRequest.request_id == request_id
            )
        ).one_or_none()
    return Progress(*row) if row else None


def failures_of(request_id: UUID) -> list[JobFailure]:
    """Return the FAILURE_GROUPS_SHOWN most frequent failures of a job."""
    with reading() as session:
        return list(
            session.scalars(
                select(JobFailure)
                .where(JobFailure.request_id == request_id)
                .order_by(JobFailure.images.desc(), JobFailure.example_row)
                .limit(FAILURE_GROUPS_SHOWN)
            )
        )


def scores_of(request_id: UUID) -> list[JobScore]:
    """Return how many images of a job have each score, the lowest score first."""
    with reading() as session:
        return list(
            session.scalars(
                select(JobScore).where(JobScore.request_id == request_id).order_by(JobScore.score)
            )
        )


def count_failures(request_id: UUID, group: ImageFilter) -> int:
    """Return how many of a job's images failed with this code, host and `found`."""
    with reading() as session:
        images = select(func.sum(JobFailure.images)).where(
            JobFailure.request_id == request_id, *failures_in(group)
        )
        return session.scalar(images) or 0


def failures_in(group: ImageFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on a row of the summary of failures; the outcome is ignored."""
    return [
        getattr(JobFailure, name) == value
        for name in ("code", "host", "found")
        if (value := getattr(group, name)) is not None
    ]


def list_jobs(
    *,
    owner: str | None = None,
    status: str | None,
    search: str | None = None,
    skip: int,
    limit: int,
) -> list[JobRequest]:
    """Return the jobs that this owner can see, the newest first.

    `search` is a part of the file's name, whatever its case.
    """
    query = (
        select(JobRequest)
        .where(*visible_to(owner))
        .order_by(JobRequest.created_at.desc(), JobRequest.request_id)
    )
    if status is not None:
        query = query.where(JobRequest.status == status)
    if search is not None:
        query = query.where(JobRequest.source_filename.icontains(search, autoescape=True))
    with reading() as session:
        return list(session.scalars(query.offset(skip).limit(limit)))


# The most images that a request by a property without an index scans.
MOST_SCANNED = 20_000


class ImagePage(NamedTuple):
    """Some images; `after` is the ordinal after which there may be more, None at the end."""

    images: list[CompressedImage]
    after: int | None


def list_images(
    request_id: UUID, wanted: ImageFilter, *, after: int | None, skip: int, size: int
) -> ImagePage:
    """Return a job's images in their order: those after ordinal `after`, or else after `skip`.

    Ordinals have no gaps, so a page of all images is found at once however late it comes. With a
    status, `after` costs as little, while `skip` walks over that many entries of an index. By other
    properties at most MOST_SCANNED images are scanned, so that a page may have fewer images
    than `size`, or none, although there are more; `skip` is not for these.
    """
    image = CompressedImage
    first = skip if after is None else after + 1
    query = select(image).order_by(image.ordinal).limit(size + 1)
    end = None
    with reading() as session:
        if wanted.status is None:
            query = query.where(*_at(request_id, range(first, first + size + 1)))
        else:
            candidates = [image.request_id == request_id, image.status == wanted.status]
            if after is not None:
                candidates.append(image.ordinal >= first)
            elif skip:
                candidates.append(image.ordinal >= _nth_ordinal(candidates, skip))
            query = query.where(*candidates)
            if wanted.looks_through:
                end = session.scalar(select(_nth_ordinal(candidates, MOST_SCANNED)))
                query = query.where(*properties_of(wanted))
                if end is not None:
                    query = query.where(image.ordinal < end)
        images = list(session.scalars(query))
    if len(images) > size:
        return ImagePage(images[:size], images[size - 1].ordinal)
    return ImagePage(images, None if end is None else end - 1)


def _nth_ordinal(candidates: Sequence[ColumnElement[bool]], skip: int) -> ColumnElement[int]:
    """Find an ordinal by the index alone, so that skipped rows are not read."""
    image = CompressedImage
    return (
        select(image.ordinal)
        .where(*candidates)
        .order_by(image.ordinal)
        .offset(skip)
        .limit(1)
        .scalar_subquery()
    )


# What a list of compressed images can be sorted by; each has an index.
MEASURES = {
    "size": CompressedImage.input_bytes,
    "saved": CompressedImage.input_bytes - CompressedImage.output_bytes,
}


def list_largest(
    request_id: UUID, measure: str, *, after: int | None, skip: int, size: int
) -> ImagePage:
    """Return a job's compressed images by one of MEASURES, the largest first.

    It begins after the image with ordinal `after`, or else after `skip` images, which are read.
    """
    image, value = CompressedImage, MEASURES[measure]
    query = select(image).where(
        image.request_id == request_id,
        # A literal: with a parameter, SQLite could not see that the partial index applies.
        image.status == literal_column(f"'{ImageStatus.COMPLETED}'"),
    )
    query = query.order_by(value.desc(), image.ordinal.desc())
    if after is None:
        query = query.offset(skip)
    else:
        last = (
            select(value)
            .where(image.request_id == request_id, image.ordinal == after)
            .correlate(None)
            .scalar_subquery()
        )
        query = query.where(value <= last, or_(value < last, image.ordinal < after))
    with reading() as session:
        images = list(session.scalars(query.limit(size + 1)))
    more = len(images) > size
    return ImagePage(images[:size], images[size - 1].ordinal if more else None)


def properties_of(wanted: ImageFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on an image's properties, except its status."""
    image = CompressedImage
    conditions: list[ColumnElement[bool]] = []
    if wanted.code is not None:
        conditions.append(image.error_code == wanted.code)
    if wanted.host is not None:
        conditions.append(_is_at(wanted.host))
    if wanted.found is not None:
        # A message is `found` and the advice; groups keep at most FOUND_CHARS of `found`.
        whole = "" if len(wanted.found) >= FOUND_CHARS else ". "
        conditions.append(image.error_message.startswith(wanted.found + whole, autoescape=True))
    if wanted.outcome is not None:
        conditions.append(image.outcome == wanted.outcome)
    if wanted.change is not None:
        conditions.append(image.change == wanted.change)
    return conditions


def _is_at(host: str) -> ColumnElement[bool]:
    """Return whether an image's URL names this host, which is written as urlsplit() returns it."""
    url = CompressedImage.input_url
    authority = f"[{host}]" if ":" in host else host
    starts = [f"{scheme}://{authority}" for scheme in ("http", "https")]
    return or_(
        *(
            and_(
                url.istartswith(start, autoescape=True),
                func.substr(url, len(start) + 1, 1).in_(("/", ":", "?", "#", "")),
            )
            for start in starts
        )
    )


def outcomes(request_id: UUID, signed: Callable[[str | None], str | None]) -> Iterator[Outcome]:
    """Yield the outcome of every image, in order; no transaction is open between batches.

    `signed` turns the stored URL into the one for callers.
    """
    return _in_batches(request_id, partial(_outcomes, signed))


def _outcomes(
    signed: Callable[[str | None], str | None], request_id: UUID, ordinals: range
) -> list[Outcome]:
    image = CompressedImage
    with reading() as session:
        rows = session.execute(
            select(
                image.ordinal,
                image.row_number,
                image.position,
                image.image_url,
                image.error_code,
                image.error_message,
                image.change,
                image.score,
                image.advice_format,
                image.advice_bytes,
                image.input_bytes,
            )
            .where(*_at(request_id, ordinals))
            .order_by(image.ordinal)
        )
        return [Outcome(*row)._replace(output_url=signed(row.image_url)) for row in rows]


def compressed_images(request_id: UUID) -> Iterator[NamedImage]:
    """Yield the compressed images, in order; no transaction is open between batches."""
    return _in_batches(request_id, _compressed)


def _compressed(request_id: UUID, ordinals: range) -> list[NamedImage]:
    image = CompressedImage
    with reading() as session:
        rows = session.execute(
            select(
                image.ordinal,
                image.row_number,
                image.position,
                image.product_name,
                image.output_name,
                image.storage_key,
            )
            .where(*_at(request_id, ordinals), image.status == ImageStatus.COMPLETED)
            .order_by(image.ordinal)
        )
        return [NamedImage(**row._mapping) for row in rows]


def _in_batches(request_id: UUID, batch_of: Callable[[UUID, range], list[Row]]) -> Iterator[Row]:
    """Yield a job's images in batches of ordinals, which have no gaps."""
    with reading() as session:
        images = (
            session.scalar(
                select(JobRequest.total_images).where(JobRequest.request_id == request_id)
            )
            or 0
        )
    for first in range(0, images, OUTCOME_BATCH):
        yield from batch_of(request_id, range(first, first + OUTCOME_BATCH))


def _at(request_id: UUID, ordinals: range) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a range of a job's images, bounded on both sides.

    If the statistics are outdated, as after a large upload, Postgres expects a handful of rows.
    With a LIMIT instead of the upper bound it read and sorted all the rest of the job for every
    batch: four times as long for 300,000 images, and growing with the square (measured).
    """
    image = CompressedImage
    return (
        image.request_id == request_id,
        image.ordinal.between(ordinals.start, ordinals.stop - 1),
    )


def find_stored_image(image_id: UUID) -> StoredImage | None:
    """Return where a compressed image is stored, or None when there is none."""
    image = CompressedImage
    deleted = exists().where(JobDeletion.request_id == image.request_id).correlate(image)
    with reading() as session:
        row = session.execute(
            select(image.storage_key, image.output_format).where(
                image.image_id == image_id, image.status == ImageStatus.COMPLETED, ~deleted
            )
        ).one_or_none()
    return StoredImage(row.storage_key, row.output_format) if row else None
