"""Record the results of images, and close the job with its last one.

They are sent as one JSON value, which the database unpacks: a statement for each image would cost
more than everything else that the ledger does for it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Dialect,
    Integer,
    Interval,
    String,
    bindparam,
    case,
    column,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from ..file_names import file_ref, id_of_image
from ..metrics import IMAGES_ENDED, INPUT_BYTES, OUTPUT_BYTES, Sample
from .clock import NOW, Span, from_now_by
from .jobs import close_if_finished, lock_job
from .metrics import add_values
from .models import (
    FOUND_CHARS,
    IMAGES,
    JOBS,
    SLICES,
    Change,
    CompressedImage,
    ImageStatus,
    JobFailure,
    JobScore,
)
from .outbox import presentation
from .session import insert_into, rowcount, writing
from .slices import CLAIM_STANDS, Claim, PendingImage, fence_of, release

# The columns that a result sets; those missing in a row become NULL.
SET = tuple(
    IMAGES.c[name]
    for name in (
        "status",
        "outcome",
        "error_code",
        "error_message",
        "image_url",
        "input_bytes",
        "output_bytes",
        "width",
        "height",
        "output_format",
        "quality",
        "score",
        "similarity",
        "advice_format",
        "advice_bytes",
        "storage_key",
        "change",
        "source_hash",
        "validator",
        "seen_at",
        "file_ref",
        "content_ref",
        "not_before",
    )
)
# The columns that a result adds to.
ADDED = tuple(IMAGES.c[name] for name in ("attempts", "waits"))
RESULT_COLUMNS = (IMAGES.c.image_id, *SET, *ADDED)
_NAMES = tuple(kept.name for kept in RESULT_COLUMNS)

Row = Mapping[str, Any]


def update_pending(session: Session, rows: Iterable[Row]) -> set[UUID]:
    """Write rows to the images that are still PENDING; return the ids of these.

    A row has `image_id`, `status`, `attempts`, `waits` and the other columns to set; `not_before`
    is a span from now.
    """
    dialect = session.get_bind().dialect
    # The values are found by position: SQLite takes twice as long to find them by name.
    values = [list(map(row.get, _NAMES)) for row in rows]
    return set(
        session.scalars(
            _statement(dialect.name), {"rows": json.dumps(values, default=_storing(dialect))}
        )
    )


@cache
def _storing(dialect: Dialect) -> Callable[[UUID | timedelta | datetime], str]:
    """Return the function that converts an id, a span or a time for the database.

    SQLite has no types for them.
    """
    store_id = _converter(IMAGES.c.image_id.type, dialect)
    store_time = _converter(IMAGES.c.seen_at.type, dialect)
    store_span = (
        _converter(Span(), dialect)
        if dialect.name == "sqlite"
        else lambda span: f"{span.total_seconds()} s"
    )

    def store(value: UUID | timedelta | datetime) -> str:
        if isinstance(value, UUID):
            return store_id(value)
        return store_time(value) if isinstance(value, datetime) else store_span(value)

    return store


def _converter(kept: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], str]:
    bind = kept.dialect_impl(dialect).bind_processor(dialect)
    return lambda value: str(bind(value) if bind else value)


@cache
def _statement(dialect: str) -> Any:
    rows = _on_sqlite() if dialect == "sqlite" else _on_postgres()
    values = {kept.name: rows[kept.name] for kept in SET}
    values |= {kept.name: kept + rows[kept.name] for kept in ADDED}
    return (
        update(IMAGES)
        .where(IMAGES.c.image_id == rows["image_id"], IMAGES.c.status == ImageStatus.PENDING)
        .values(values)
        .returning(IMAGES.c.image_id)
    )


def _on_postgres() -> dict[str, ColumnElement[Any]]:
    array = func.jsonb_array_elements(bindparam("rows", type_=String).cast(JSONB))
    row = array.table_valued(column("value", JSONB), name="result").c.value
    # A cast would truncate a text that is too long for its column.
    rows: dict[str, ColumnElement[Any]] = {
        kept.name: text if isinstance(kept.type, String) else text.cast(kept.type)
        for kept, text in ((kept, row[place].astext) for place, kept in enumerate(RESULT_COLUMNS))
    }
    rest = row[RESULT_COLUMNS.index(IMAGES.c.not_before)].astext
    return rows | {"not_before": NOW + rest.cast(Interval)}


def _on_sqlite() -> dict[str, ColumnElement[Any]]:
    rows = func.json_each(bindparam("rows", type_=String)).table_valued("value", name="result")
    return {
        kept.name: func.json_extract(rows.c.value, f"$[{place}]", type_=kept.type)
        for place, kept in enumerate(RESULT_COLUMNS)
    }


# The longest time in seconds by which an image is postponed at once.
LONGEST_POSTPONEMENT = 300.0


@dataclass(frozen=True)
class Success:
    """An image was compressed and stored, or shares the result of another one."""

    image: PendingImage
    outcome: str
    input_bytes: int
    output_bytes: int
    width: int
    height: int
    output_format: str
    extension: str
    quality: int | None
    score: float | None
    storage_key: str
    # Stored to detect changes of the source; see CompressedImage.
    source_hash: str | None = None
    validator: str | None = None
    seen_at: datetime | None = None
    change: Change | None = None
    # The image whose file this one shares; it must still exist when the result is written.
    taken_from: UUID | None = None
    # Whether the source was not downloaded.
    not_downloaded: bool = False
    # For a result taken over from an earlier version, which had no score.
    similarity: float | None = None
    # Another format that would need fewer bytes for the same score, and about how many.
    advice_format: str | None = None
    advice_bytes: int | None = None
    # For an image that was compressed; see CompressedImage.
    content_ref: int | None = None


@dataclass(frozen=True)
class Failure:
    """An image failed for good; `found` distinguishes failures with the same code."""

    image: PendingImage
    error_code: str
    error_message: str
    found: str = ""


@dataclass(frozen=True)
class Postponement:
    """An image is retried after a `delay`; `tried` is whether this counts as an attempt."""

    image: PendingImage
    delay: float
    tried: bool = True
    _began: float = field(default_factory=time.monotonic)

    @property
    def rest(self) -> timedelta:
        """Return the rest of the delay, even if the clock was set since it began."""
        return timedelta(seconds=max(0.0, self.delay - (time.monotonic() - self._began)))


Result = Success | Failure | Postponement


class FailureKind(NamedTuple):
    """A group of failures with the same cause."""

    code: str
    host: str
    found: str


class FailureCount(NamedTuple):
    """The number of images in a group of failures, and the first spreadsheet row among them."""

    images: int
    example_row: int


def kind_of(error_code: str, url: str, found: str) -> FailureKind:
    """Return the kind of a failure: its code, the host of the image's URL, and `found`."""
    return FailureKind(error_code, _host_of(url)[:255], found[:FOUND_CHARS])


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def add_failures(
    session: Session, request_id: UUID, failures: Mapping[FailureKind, FailureCount]
) -> None:
    """Add these failures to the job's summary; the caller holds the lock of the job's row."""
    for kind, found in failures.items():
        session.execute(_upsert(session, request_id, kind, found))


def _upsert(session: Session, request_id: UUID, kind: FailureKind, found: FailureCount) -> Any:
    key = ("request_id", *FailureKind._fields)
    return (
        insert_into(session, JobFailure)
        .values(
            request_id=request_id,
            **kind._asdict(),
            **found._asdict(),
        )
        .on_conflict_do_update(
            index_elements=key, set_={"images": JobFailure.images + found.images}
        )
    )


def _add_scores(
    session: Session, request_id: UUID, scores: Mapping[tuple[int, str], tuple[int, int]]
) -> None:
    """Add these scores to those of the job; the caller holds the lock of the job's row."""
    if not scores:
        return
    rows = [
        {
            "request_id": request_id,
            "score": score,
            "advice_format": advice,
            "images": images,
            "saved_bytes": saved,
        }
        for (score, advice), (images, saved) in sorted(scores.items())
    ]
    new = insert_into(session, JobScore).values(rows)
    added = {
        name: JobScore.__table__.c[name] + new.excluded[name] for name in ("images", "saved_bytes")
    }
    session.execute(
        new.on_conflict_do_update(
            index_elements=("request_id", "score", "advice_format"), set_=added
        )
    )


@dataclass
class Tally:
    """The changes of a batch, counted by the rows that changed."""

    completed: int = 0
    failed: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    failures: dict[FailureKind, FailureCount] = field(default_factory=dict)
    changes: Counter[Change | None] = field(default_factory=Counter)
    bytes_not_downloaded: int = 0
    # The images and the bytes to save, by score (rounded down) and advised format.
    scores: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    ends: Counter[Sample] = field(default_factory=Counter)

    def add(self, result: Result, row_number: int, *, repeats: bool = False) -> None:
        """Count one row that changed; `repeats` if another row has the same URL."""
        if isinstance(result, Success):
            self.changes[result.change] += 1
            if result.not_downloaded and not repeats:
                self.bytes_not_downloaded += result.input_bytes
            self.completed += 1
            self.input_bytes += result.input_bytes
            self.output_bytes += result.output_bytes
            self.ends[IMAGES_ENDED.sample(result.outcome, "")] += 1
            if result.score is not None:
                key = int(result.score), result.advice_format or ""
                images, saved = self.scores.get(key, (0, 0))
                more = result.output_bytes - (result.advice_bytes or result.output_bytes)
                self.scores[key] = images + 1, saved + more
        elif isinstance(result, Failure):
            self.failed += 1
            kind = kind_of(result.error_code, result.image.input_url, result.found)
            images, example_row = self.failures.get(kind, FailureCount(0, row_number))
            self.failures[kind] = FailureCount(images + 1, example_row)
            self.ends[IMAGES_ENDED.sample("failed", result.error_code)] += 1

    def measured(self) -> dict[Sample, float]:
        """Return the measurements for the metrics."""
        return {
            **self.ends,
            INPUT_BYTES.sample(): self.input_bytes,
            OUTPUT_BYTES.sample(): self.output_bytes,
        }


# The columns of an image with the values of a Success, by the same names.
MADE = (
    "outcome",
    "input_bytes",
    "output_bytes",
    "width",
    "height",
    "output_format",
    "quality",
    "score",
    "similarity",
    "advice_format",
    "advice_bytes",
    "storage_key",
    "change",
    "source_hash",
    "validator",
    "seen_at",
)
_made = attrgetter(*MADE)


class ClaimLost(Exception):
    """Another worker has the slice, or the job is no longer running: write nothing and stop."""


class Target(NamedTuple):
    """A row to write a result to."""

    image_id: UUID
    row_number: int
    position: int
    output_name: str | None


def record_results(claim: Claim, results: Sequence[Result], *, lease_seconds: float) -> bool:
    """Write the results, move the job's counters by the rows that changed, renew the lease.

    Return whether this closed the job. Raise ClaimLost, with nothing written, if the claim is no
    longer valid. The lock order is job, slice, images, here and everywhere.
    """
    with writing() as session:
        return _record(session, claim, results, lease_seconds)


def record_and_release(
    claim: Claim,
    results: Sequence[Result],
    *,
    delay_seconds: float = 0.0,
) -> bool:
    """Write the last results and end the claim, as record_results() and release_slice() do."""
    with writing() as session:
        closed = _record(session, claim, results, 0.0)
        release(session, claim, delay_seconds)
        return closed


def _record(
    session: Session, claim: Claim, results: Sequence[Result], lease_seconds: float
) -> bool:
    if not lock_job(session, claim.request_id):
        raise ClaimLost("the job is not running")
    _renew_lease(session, claim, lease_seconds, progressed=bool(results))
    tally = _write_images(session, claim, results)
    if not (tally.completed or tally.failed):
        return False
    _move_counters(session, claim.request_id, tally)
    add_failures(session, claim.request_id, tally.failures)
    _add_scores(session, claim.request_id, tally.scores)
    closed = close_if_finished(session, claim.request_id)
    add_values(session, tally.measured())
    return closed


_RENEW = (
    update(SLICES)
    .where(*CLAIM_STANDS)
    .values(
        lease_until=from_now_by("lease"),
        progressed=or_(SLICES.c.progressed, bindparam("done", type_=Boolean)),
    )
)


def _renew_lease(session: Session, claim: Claim, seconds: float, *, progressed: bool) -> None:
    renewed = rowcount(
        session.execute(
            _RENEW, fence_of(claim) | {"lease": timedelta(seconds=seconds), "done": progressed}
        )
    )
    if not renewed:
        raise ClaimLost("the slice was claimed by another worker")


def _write_images(session: Session, claim: Claim, results: Sequence[Result]) -> Tally:
    """Write the results, then those that take over another image's file.

    That image may be among the former. If it is gone by now, nothing is taken over.
    """
    tally = Tally()
    own: list[Result] = []
    shared: list[Success] = []
    for result in results:
        if isinstance(result, Success) and result.taken_from is not None:
            shared.append(result)
        else:
            own.append(result)
    _write_some(session, claim, tally, own)
    if shared:
        held = _lock_files(session, {result.taken_from for result in shared})
        _write_some(
            session,
            claim,
            tally,
            [
                result
                if (result.taken_from, result.storage_key) in held
                else Postponement(result.image, 0.0, tried=False)
                for result in shared
            ],
        )
    return tally


def _write_some(session: Session, claim: Claim, tally: Tally, results: Sequence[Result]) -> None:
    if not results:
        return
    targets = [
        (target, result) for result in results for target in _targets(session, claim, result)
    ]
    changed = update_pending(session, (_row(claim, *written) for written in targets))
    for target, result in targets:
        if target.image_id in changed:
            tally.add(result, target.row_number, repeats=target.image_id != result.image.image_id)


def _lock_files(session: Session, image_ids: Collection[UUID | None]) -> set[tuple[UUID, str]]:
    """Protect images, and so their files, from deletion until this transaction has ended.

    Return those that still exist, with the keys of their files. Deletions lock images
    in the same order.
    """
    image = CompressedImage
    rows = session.execute(
        select(image.image_id, image.storage_key)
        .where(image.image_id.in_(image_ids), image.status == ImageStatus.COMPLETED)
        .order_by(image.request_id, image.ordinal)
        .with_for_update(read=True, key_share=True)
    )
    return {(row.image_id, row.storage_key) for row in rows}


def _targets(session: Session, claim: Claim, result: Result) -> list[Target]:
    """Return the image and its duplicates, which share its final state."""
    image = result.image
    targets = [Target(image.image_id, image.row_number, image.position, image.output_name)]
    if image.has_duplicates and not isinstance(result, Postponement):
        rows = session.execute(
            select(
                CompressedImage.image_id,
                CompressedImage.row_number,
                CompressedImage.position,
                CompressedImage.output_name,
            )
            .where(
                CompressedImage.request_id == claim.request_id,
                CompressedImage.duplicate_of == image.ordinal,
            )
            .order_by(CompressedImage.ordinal)
        )
        targets += [Target(*row) for row in rows]
    return targets


def _row(claim: Claim, target: Target, result: Result) -> Row:
    """Return the values that a result writes to an image."""
    row = {"image_id": target.image_id, "attempts": 1, "waits": 0}
    if isinstance(result, Postponement):
        return row | {
            "status": ImageStatus.PENDING,
            "not_before": result.rest,
            "attempts": int(result.tried),
            "waits": int(not result.tried),
        }
    if isinstance(result, Failure):
        return row | {
            "status": ImageStatus.FAILED,
            "error_code": result.error_code,
            "error_message": result.error_message,
        }
    shares = _file_ref(target, result)
    return (
        row
        | dict(zip(MADE, _made(result), strict=True))
        | {
            "status": ImageStatus.COMPLETED,
            "file_ref": shares,
            # Only one of the images with the same content has to be found.
            "content_ref": result.content_ref if shares is None else None,
            "image_url": presentation().image_url(
                claim.base_url,
                target.image_id,
                input_url=result.image.input_url,
                output_name=target.output_name,
                position=target.position,
                extension=result.extension,
            ),
        }
    )


def _file_ref(target: Target, result: Success) -> int | None:
    """Return the ref that shows which file is shared; None if the image has its own file."""
    named_after = id_of_image(result.storage_key)
    if named_after is None or named_after == target.image_id:
        return None
    return file_ref(named_after)


def _move_counters(session: Session, request_id: UUID, tally: Tally) -> None:
    """Move the counters; the percentage reaches 100 when the job is closed."""
    session.execute(
        _MOVE,
        {
            "job": request_id,
            "completed": tally.completed,
            "failed": tally.failed,
            "read": tally.input_bytes,
            "written": tally.output_bytes,
            "unchanged": tally.changes[Change.UNCHANGED],
            "changed": tally.changes[Change.CHANGED],
            "new": tally.changes[Change.NEW],
            "not_downloaded": tally.bytes_not_downloaded,
        },
    )


def _moved() -> dict[str, ColumnElement[int]]:
    job = JOBS.c
    completed, failed = bindparam("completed", type_=Integer), bindparam("failed", type_=Integer)
    done = job.completed_images + job.failed_images + completed + failed
    return {
        "completed_images": job.completed_images + completed,
        "failed_images": job.failed_images + failed,
        "input_bytes": job.input_bytes + bindparam("read"),
        "output_bytes": job.output_bytes + bindparam("written"),
        "unchanged_images": job.unchanged_images + bindparam("unchanged"),
        "changed_images": job.changed_images + bindparam("changed"),
        "new_images": job.new_images + bindparam("new"),
        "bytes_not_downloaded": job.bytes_not_downloaded + bindparam("not_downloaded"),
        "completion_percentage": case(
            (done >= job.total_images, 99), else_=done * 100 // job.total_images
        ),
    }


_MOVE = update(JOBS).where(JOBS.c.request_id == bindparam("job")).values(_moved())
