"""A job and its images as callers see them: the rows of the ledger, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..ledger.gauges import stalled_since
from ..ledger.image_urls import told_url
from ..ledger.models import CompressedImage, JobFailure, JobRequest, WebhookDelivery
from ..ledger.states import ACTIVE_JOB, ImageStatus, JobStatus
from .context import base_url


@dataclass(frozen=True)
class JobReport:
    """A job, its failures, its last delivery and its links.

    Every other attribute is the job's own.
    """

    job: JobRequest
    errors: Sequence[JobFailure] = ()
    last_delivery: WebhookDelivery | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job, name)

    @property
    def active(self) -> bool:
        """Tell whether the job is still going on."""
        return self.job.status in ACTIVE_JOB

    @property
    def layout(self) -> str | None:
        """Return whose export the file is, or None for jobs of earlier versions."""
        return (self.job.reading or {}).get("layout")

    @property
    def columns(self) -> dict[str, Any] | None:
        """Return the columns that are read, or None for jobs of earlier versions."""
        return (self.job.reading or {}).get("columns")

    @property
    def stalled_since(self) -> datetime | None:
        """Return when the job last moved, if it should have moved since."""
        return stalled_since(self.job)

    @property
    def eta_seconds(self) -> int | None:
        """Return the seconds to the end at the pace until the last update; None when unknown.

        The pace is that of this epoch: what was done before a retry took none of its time. It
        follows from the ledger alone, so that two polls between which nothing happened are the
        same to the byte.
        """
        job = self.job
        done = job.completed_images + job.failed_images
        done_now = done - job.done_before
        if job.status != JobStatus.PROCESSING or job.started_at is None or not done_now:
            return None
        elapsed = (job.updated_at - job.started_at).total_seconds()
        return max(0, round(elapsed * (job.total_images - done) / done_now))

    @property
    def status_url(self) -> str:
        """Return the address of the job's status."""
        return self._url("status")

    @property
    def details_url(self) -> str:
        """Return the address of the job's images."""
        return self._url("details")

    @property
    def download_url(self) -> str:
        """Return the address of the job's output CSV."""
        return self._url("download")

    @property
    def webhooks_url(self) -> str:
        """Return the address of the job's deliveries."""
        return self._url("webhooks")

    @property
    def archive_url(self) -> str:
        """Return the address of the job's compressed images in a ZIP."""
        return self._url("archive")

    @property
    def retry_url(self) -> str | None:
        """Return the address that tries the failed images again, or None when there are none."""
        unfinished = self.job.failed_images or self.job.status == JobStatus.CANCELLED
        return self._url("retry") if unfinished and not self.active else None

    @property
    def cancel_url(self) -> str | None:
        """Return the address that cancels the job, or None when it has ended."""
        return self._url("cancel") if self.active else None

    def count(self, status: str | None) -> int:
        """Return how many images have this status, by the counters; all of them for None."""
        job = self.job
        return {
            None: job.total_images,
            ImageStatus.COMPLETED: job.completed_images,
            ImageStatus.FAILED: job.failed_images,
            ImageStatus.PENDING: job.total_images - job.completed_images - job.failed_images,
        }[status if status is None else ImageStatus(status)]

    def _url(self, call: str) -> str:
        return f"{base_url()}/job/{call}/{self.job.request_id}"


@dataclass(frozen=True)
class ImageReport:
    """An image and its error, if it has one; every other attribute is the image's own."""

    image: CompressedImage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.image, name)

    @property
    def image_url(self) -> str | None:
        """Return the address of the compressed image, signed if addresses are."""
        return told_url(self.image.image_url)

    @property
    def error(self) -> CompressedImage | None:
        """Return what the error is told from, or None when there is none."""
        return self.image if self.image.error_code else None
