"""The words for the states of jobs, images, slices and deliveries."""

from __future__ import annotations

from enum import StrEnum


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


class SliceState(StrEnum):
    """QUEUED -> LEASED -> DONE, and back to QUEUED when handed back or when the lease ran out."""

    QUEUED = "QUEUED"
    LEASED = "LEASED"
    DONE = "DONE"


class DeliveryState(StrEnum):
    """PENDING -> DELIVERED | FAILED."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class Channel(StrEnum):
    """How an event is delivered."""

    WEBHOOK = "webhook"
    EMAIL = "email"
