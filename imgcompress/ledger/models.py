"""The tables of the ledger, the states in them, and the types of their columns."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from ..extensions import Base


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite, which has no time zones, keeps it as naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Reject naive times, which would be read as local times."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot go into the ledger")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware UTC time."""
        if value is None:
            return None
        time: datetime = value
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def utcnow() -> datetime:
    """Return the present time by this machine's clock, aware, in UTC; see clock.py."""
    return datetime.now(UTC)


class JobStatus(StrEnum):
    """PENDING -> PROCESSING -> COMPLETED | FAILED | CANCELLED."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ACTIVE_JOB = (JobStatus.PENDING, JobStatus.PROCESSING)
ENDED_JOB = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class ImageStatus(StrEnum):
    """PENDING -> COMPLETED | FAILED."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Change(StrEnum):
    """How a result differs from that of the earlier job in `since`."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


class SliceState(StrEnum):
    """QUEUED -> LEASED -> DONE, and back to QUEUED when released or when the lease expires."""

    QUEUED = "QUEUED"
    LEASED = "LEASED"
    DONE = "DONE"


class DeliveryState(StrEnum):
    """PENDING -> DELIVERED | FAILED."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class FeedState(StrEnum):
    """ACTIVE <-> PAUSED."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class FeedOutcome(StrEnum):
    """How the last run of a feed ended."""

    JOB = "job"
    NOT_MODIFIED = "not_modified"
    FAILED = "failed"


class Channel(StrEnum):
    """How an event is delivered."""

    WEBHOOK = "webhook"
    EMAIL = "email"


# A scheme, a host name of 253 characters at most, and a port.
RECEIVER_CHARS = 280
# A host name and a port.
AUTHORITY_CHARS = 260
FOUND_CHARS = 80


def _job_key(**options: Any) -> Mapped[UUID]:
    key = ForeignKey("job_request.request_id", ondelete="CASCADE")
    return mapped_column(Uuid, key, **options)


class JobRequest(Base):
    """One uploaded CSV and the progress of its images."""

    __tablename__ = "job_request"
    __table_args__ = (Index(None, "status", "created_at"), Index(None, "owner", "created_at"))

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    completion_percentage: Mapped[int] = mapped_column(default=0)
    error_message: Mapped[str | None] = mapped_column(Text)
    epoch: Mapped[int] = mapped_column(default=1)
    source_filename: Mapped[str] = mapped_column(String(255))
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    # How the file is read: its layout, the chosen columns, its encoding.
    reading: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    base_url: Mapped[str] = mapped_column(Text)
    webhook_url: Mapped[str | None] = mapped_column(Text)
    # In plain text, written by versions before 0.2; recovery seals it.
    webhook_secret: Mapped[str | None] = mapped_column(String(128))
    # Encrypted by ledger/seals.py.
    sealed_secret: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(String(320))
    owner: Mapped[str | None] = mapped_column(String(64))
    total_rows: Mapped[int]
    total_images: Mapped[int]
    completed_images: Mapped[int] = mapped_column(default=0)
    failed_images: Mapped[int] = mapped_column(default=0)
    # How many images were finished when this epoch began.
    done_before: Mapped[int] = mapped_column(default=0)
    input_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    output_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    # The earlier job whose results may be taken over; None also where `since=latest` found none.
    since_id: Mapped[UUID | None] = mapped_column(Uuid)
    # Results younger than this are taken over without a request to the origin.
    trust_seconds: Mapped[int | None]
    # Whether all images are fetched in full, whatever is known about them.
    fresh: Mapped[bool] = mapped_column(default=False, server_default=false())
    unchanged_images: Mapped[int] = mapped_column(default=0, server_default="0")
    changed_images: Mapped[int] = mapped_column(default=0, server_default="0")
    new_images: Mapped[int] = mapped_column(default=0, server_default="0")
    # Images of the earlier job that this one no longer has; None in a job that was not compared.
    removed_images: Mapped[int | None]
    bytes_not_downloaded: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # Whether the job is in the sums of savings.py.
    counted: Mapped[bool] = mapped_column(default=False, server_default=false())

    @property
    def is_compared(self) -> bool:
        """Return whether its images have a change since an earlier job."""
        return self.removed_images is not None


class RemovedImages(Base):
    """The images of its earlier job that a job no longer has."""

    __tablename__ = "removed_images"

    request_id: Mapped[UUID] = _job_key(primary_key=True)
    # A byte for each ordinal of the earlier job, 1 where it was removed, packed by zlib.
    ordinals: Mapped[bytes] = mapped_column(LargeBinary)


class CompressedImage(Base):
    """One image of a job: where it comes from, and its outcome."""

    __tablename__ = "compressed_images"
    __table_args__ = (
        UniqueConstraint("request_id", "ordinal"),
        Index(None, "request_id", "status", "ordinal"),
        Index(
            None,
            "request_id",
            "duplicate_of",
            postgresql_where=text("duplicate_of IS NOT NULL"),
            sqlite_where=text("duplicate_of IS NOT NULL"),
        ),
        Index(
            None,
            "file_ref",
            postgresql_where=text("file_ref IS NOT NULL"),
            sqlite_where=text("file_ref IS NOT NULL"),
        ),
        Index(
            None,
            "content_ref",
            postgresql_where=text("content_ref IS NOT NULL"),
            sqlite_where=text("content_ref IS NOT NULL"),
        ),
        # A job's heaviest images, and those that have saved the most, without sorting all of them.
        Index(
            None,
            "request_id",
            "input_bytes",
            "ordinal",
            postgresql_where=text("status = 'COMPLETED'"),
            sqlite_where=text("status = 'COMPLETED'"),
        ),
        Index(
            "ix_compressed_images_request_id_saved_ordinal",
            "request_id",
            text("(input_bytes - output_bytes)"),
            "ordinal",
            postgresql_where=text("status = 'COMPLETED'"),
            sqlite_where=text("status = 'COMPLETED'"),
        ),
    )

    image_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    # No foreign key: its check, row by row, would take as long as the rest of a large COPY.
    request_id: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ordinal: Mapped[int]
    row_number: Mapped[int]
    position: Mapped[int]
    serial_number: Mapped[str] = mapped_column(Text)
    product_name: Mapped[str] = mapped_column(Text)
    input_url: Mapped[str] = mapped_column(Text)
    # The row's own options, in place of the job's.
    options: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # The name in the archive, if the row has one.
    output_name: Mapped[str | None] = mapped_column(Text)
    # The ordinal of the job's first image with the same URL and options; only that one is fetched.
    duplicate_of: Mapped[int | None]
    image_url: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str | None] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    input_bytes: Mapped[int | None] = mapped_column(BigInteger)
    output_bytes: Mapped[int | None] = mapped_column(BigInteger)
    width: Mapped[int | None]
    height: Mapped[int | None]
    output_format: Mapped[str | None] = mapped_column(String(8))
    quality: Mapped[int | None]
    # Only for images of earlier versions, which have no score.
    similarity: Mapped[float | None]
    score: Mapped[float | None]
    # Another format that would need fewer bytes for the same score, and about how many.
    advice_format: Mapped[str | None] = mapped_column(String(8))
    advice_bytes: Mapped[int | None] = mapped_column(BigInteger)
    storage_key: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    # How often it was postponed without an attempt because its host was suspended.
    waits: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The ordinal of the image with the same URL and row options in the job's earlier job.
    earlier: Mapped[int | None]
    change: Mapped[str | None] = mapped_column(String(9))
    # SHA-256 of the source, its first 128 bits in hex.
    source_hash: Mapped[str | None] = mapped_column(String(32))
    # The ETag that came with the source, or else its Last-Modified.
    validator: Mapped[str | None] = mapped_column(Text)
    # When the source was last seen, if that was long before this image's job.
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # For an image whose file is named after another one: file_ref() of that image.
    file_ref: Mapped[int | None] = mapped_column(BigInteger)
    # For an image that was compressed for its job: content_ref() of its source and options.
    content_ref: Mapped[int | None] = mapped_column(BigInteger)


class JobSlice(Base):
    """A run of a job's images that one worker processes under one lease."""

    __tablename__ = "job_slice"
    __table_args__ = (
        Index(None, "state", "lease_until"),
        Index(None, "state", "published_at"),
        # With this index, a job's first waiting slice is found at once, however many are done.
        Index(
            None,
            "request_id",
            "slice_no",
            postgresql_where=text("state = 'QUEUED'"),
            sqlite_where=text("state = 'QUEUED'"),
        ),
    )

    request_id: Mapped[UUID] = _job_key(primary_key=True)
    slice_no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_ordinal: Mapped[int]
    last_ordinal: Mapped[int]
    state: Mapped[str] = mapped_column(String(8))
    # The fencing token: incremented by each claim, and checked by every write of the claimant.
    attempt: Mapped[int] = mapped_column(default=0)
    # How often a worker died, or let its lease expire without progress.
    crashes: Mapped[int] = mapped_column(default=0)
    # The process that claimed it, so that others on its machine notice at once when it has ended.
    holder: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Whether the last claimant has written the result of an image.
    progressed: Mapped[bool] = mapped_column(default=False, server_default=false())
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    not_before: Mapped[datetime | None] = mapped_column(UTCDateTime)


class JobFailure(Base):
    """How many images of a job failed for one reason at one host, kept as a sum."""

    __tablename__ = "job_failure"

    request_id: Mapped[UUID] = _job_key(primary_key=True)
    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    # The detail, such as "HTTP 403 Forbidden"; empty if it differs from image to image.
    found: Mapped[str] = mapped_column(String(FOUND_CHARS), primary_key=True)
    images: Mapped[int]
    example_row: Mapped[int]


class JobScore(Base):
    """How many of a job's images have a score and an advised format."""

    __tablename__ = "job_score"

    request_id: Mapped[UUID] = _job_key(primary_key=True)
    # The score, rounded down.
    score: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # Empty if no other format is advised.
    advice_format: Mapped[str] = mapped_column(String(8), primary_key=True)
    images: Mapped[int]
    # The bytes that this format would save of these images after compression.
    saved_bytes: Mapped[int] = mapped_column(BigInteger)


class JobDeletion(Base):
    """A deleted job: it is hidden, but some of its rows and files may still exist.

    This row outlives the job's, since a worker may store a last image after all the others are
    deleted.
    """

    __tablename__ = "job_deletion"
    __table_args__ = (Index(None, "due_at"),)

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    # When recovery continues the deletion.
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Whether rows and files were deleted once; a last round deletes files stored since then.
    erased: Mapped[bool] = mapped_column(default=False)


class ApiKey(Base):
    """A caller's key; the jobs that are uploaded with it belong to its name."""

    __tablename__ = "api_key"
    __table_args__ = (UniqueConstraint("token_hash"),)

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    # The start of the token, which identifies it to people.
    prefix: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ApiKeySuccessor(Base):
    """The second key of a name, which will replace the first; both are valid."""

    __tablename__ = "api_key_successor"
    __table_args__ = (UniqueConstraint("token_hash"),)

    name: Mapped[str] = mapped_column(ForeignKey("api_key.name"), primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class IdempotencyKey(Base):
    """The idempotency key of an upload, and the answer to the first request with it."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index(None, "created_at"),)

    # The name of the caller's API key; empty if the service requires none.
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    # SHA-256 of the request, in hex.
    fingerprint: Mapped[str] = mapped_column(String(64))
    # The fencing token: only the last claimant writes the answer.
    claim: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[datetime] = mapped_column(UTCDateTime)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class WebhookDelivery(Base):
    """The outbox: one event of one job, to be sent to a webhook or by e-mail."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("request_id", "epoch", "event", "channel"),
        Index(None, "state", "receiver", "next_attempt_at"),
        Index(None, "receiver", "held_until"),
        Index(None, "held_until"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    request_id: Mapped[UUID] = _job_key()
    epoch: Mapped[int]
    event: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(8))
    # The name of the job's API key; None if there is none, or if an older version wrote the
    # delivery.
    owner: Mapped[str | None] = mapped_column(String(64))
    # Deliveries to one receiver share its circuit, and its limit of concurrent attempts.
    receiver: Mapped[str] = mapped_column(String(RECEIVER_CHARS))
    payload: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    # The fencing token: incremented by each claim, and checked when its attempt is recorded.
    attempts: Mapped[int] = mapped_column(default=0)
    # The attempts since the event or the last redelivery: the position in the schedule.
    step: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # During an attempt: when it counts as lost.
    held_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    delivered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Written by version 0.1.0; superseded by the attempts and not read.
    last_response_status: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)


class DeliveryAttempt(Base):
    """One attempt at a delivery; without `seconds`, it is under way or was never recorded."""

    __tablename__ = "delivery_attempt"

    delivery_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("webhook_delivery.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seconds: Mapped[float | None]
    response_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)


class ReceiverCircuit(Base):
    """The state of a receiver; while its circuit is open, nothing is sent to it."""

    __tablename__ = "receiver_circuit"

    receiver: Mapped[str] = mapped_column(String(RECEIVER_CHARS), primary_key=True)
    # Consecutive failures that concern the receiver as a whole.
    failures: Mapped[int] = mapped_column(default=0)
    open_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # Whether it waits, or waited, because others could not reach its host; its own next attempt
    # ends that.
    waits_for_host: Mapped[bool] = mapped_column(default=False)


class HostCircuit(Base):
    """A host that could not be reached, for any owner of images.

    Owners that have not tried the host themselves wait for it; then the owner's own circuit
    decides.
    """

    __tablename__ = "host_circuit"

    authority: Mapped[str] = mapped_column(String(AUTHORITY_CHARS), primary_key=True)
    openings: Mapped[int] = mapped_column(default=1)
    open_until: Mapped[datetime] = mapped_column(UTCDateTime)
    # Used by older versions, whose hosts had one circuit for everybody.
    probe_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    reason: Mapped[str] = mapped_column("fault", String(FOUND_CHARS), key="reason")


class OwnerCircuit(Base):
    """A host that failed too often for the jobs of one owner, and is suspended for all workers.

    A host that works for them has no row. The circuit is open until `open_until`. Then it is
    half-open: one worker tries one image of this owner, and the others wait for that until
    `probe_until`.
    """

    __tablename__ = "owner_circuit"
    __table_args__ = (Index(None, "open_until"),)

    # The name of the API key; empty if the service requires none.
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    authority: Mapped[str] = mapped_column(String(AUTHORITY_CHARS), primary_key=True)
    # How often it opened without a success in between; 0 if it only waits because of other owners.
    openings: Mapped[int] = mapped_column(default=1)
    open_until: Mapped[datetime] = mapped_column(UTCDateTime)
    probe_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The last error, such as "HTTP 503 Service Unavailable" or "connect_failed".
    reason: Mapped[str] = mapped_column("fault", String(FOUND_CHARS), key="reason")


class Feed(Base):
    """A table that is fetched regularly; each run that finds it changed makes a job."""

    __tablename__ = "feed"
    __table_args__ = (Index(None, "state", "next_run_at"), Index(None, "owner", "created_at"))

    feed_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    csv_url: Mapped[str] = mapped_column(Text)
    every_seconds: Mapped[int]
    # The options of its jobs.
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The caller's instructions for reading the table and for writing the output.
    reading: Mapped[dict[str, Any]] = mapped_column(JSON)
    base_url: Mapped[str] = mapped_column(Text)
    webhook_url: Mapped[str | None] = mapped_column(Text)
    trust_seconds: Mapped[int | None]
    fresh: Mapped[bool]
    state: Mapped[str] = mapped_column(String(8))
    next_run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # The fencing token: incremented by each claim, and checked by the write that ends the run.
    attempt: Mapped[int] = mapped_column(default=0)
    # During a run: when its worker counts as dead.
    held_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_run_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_outcome: Mapped[str | None] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    # The last job, and the validator of its table.
    last_request_id: Mapped[UUID | None] = mapped_column(Uuid)
    validator: Mapped[str | None] = mapped_column(Text)


class Installation(Base):
    """Values that all machines of an installation share besides their settings, by name."""

    __tablename__ = "installation"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


# Workers write to these for each batch of images. A statement on the table, built once, costs half
# of one on the class (measured).
JOBS = cast(Table, JobRequest.__table__)
SLICES = cast(Table, JobSlice.__table__)
IMAGES = cast(Table, CompressedImage.__table__)
