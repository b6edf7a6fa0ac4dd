"""Turn rows of the ledger into answers for callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request

from ..catalogue import RATINGS, rating_of
from ..csvfile import output_form
from ..errors import IMAGE_ERRORS
from ..extensions import base_url
from ..ledger.models import (
    ACTIVE_JOB,
    CompressedImage,
    ImageStatus,
    JobFailure,
    JobRequest,
    JobScore,
    JobStatus,
    WebhookDelivery,
)
from ..ledger.queries import ImageFilter, count_failures, stalled_since
from ..links import job_url, signed_url

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Page:
    """A page number from 1, and the rest of the query, for the links."""

    number: int
    size: int
    query: dict[str, Any]

    @classmethod
    def of(cls, query: dict[str, Any]) -> Page:
        """Return the page of a loaded PageQuery."""
        return cls(query["page"], query["per_page"], query)

    @property
    def skip(self) -> int:
        """Return the number of entries on earlier pages."""
        return (self.number - 1) * self.size

    @property
    def limit(self) -> int:
        """Return the number of entries to read: one more than shown, to detect a next page."""
        return self.size + 1

    def cut(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries that belong to the page."""
        return entries[: self.size]

    def links(self, *, more: bool, counted: bool = True, **of_next: Any) -> dict[str, Any]:
        """Return the page's place and links; pages that are not `counted` have no way back."""
        back = self.number > 1 and counted
        return {
            "page": self.number,
            "per_page": self.size,
            "next": self._url(page=self.number + 1, **of_next) if more else None,
            "prev": self._url(page=self.number - 1, after=None) if back else None,
        }

    def _url(self, **changes: Any) -> str:
        values = {
            name: value for name, value in (self.query | changes).items() if value is not None
        }
        return f"{base_url()}{request.path}?{urlencode(values)}"


def is_active(job: JobRequest) -> bool:
    """Return whether the job is still going on."""
    return job.status in ACTIVE_JOB


def eta_seconds(job: JobRequest) -> int | None:
    """Return the seconds to the end at the pace until the last update; None when unknown.

    The pace is that of this epoch: images done before a retry took none of its time. It follows
    from the ledger alone, so that two polls without a change in between are identical.
    """
    done = job.completed_images + job.failed_images
    done_now = done - job.done_before
    if job.status != JobStatus.PROCESSING or job.started_at is None or not done_now:
        return None
    elapsed = (job.updated_at - job.started_at).total_seconds()
    return max(0, round(elapsed * (job.total_images - done) / done_now))


def count_images(job: JobRequest, wanted: ImageFilter) -> int | None:
    """Return the number of matching images by the counters; None if they are not counted."""
    if wanted.outcome:
        return None
    if wanted.change:
        return getattr(job, f"{wanted.change}_images") if job.is_compared else 0
    if wanted.looks_through:
        return count_failures(job.request_id, wanted)
    status = wanted.status
    return {
        None: job.total_images,
        ImageStatus.COMPLETED: job.completed_images,
        ImageStatus.FAILED: job.failed_images,
        ImageStatus.PENDING: job.total_images - job.completed_images - job.failed_images,
    }[status if status is None else ImageStatus(status)]


COMPARED = (
    "unchanged_images",
    "changed_images",
    "new_images",
    "removed_images",
    "bytes_not_downloaded",
)


def job_report(job: JobRequest) -> dict[str, Any]:
    """Return a job as JobSchema has it."""
    active = is_active(job)
    unfinished = job.failed_images or job.status == JobStatus.CANCELLED
    return {
        "request_id": job.request_id,
        "status": job.status,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "completion_percentage": job.completion_percentage,
        "error_message": job.error_message,
        "source_filename": job.source_filename,
        "total_rows": job.total_rows,
        "total_images": job.total_images,
        "completed_images": job.completed_images,
        "failed_images": job.failed_images,
        "input_bytes": job.input_bytes,
        "output_bytes": job.output_bytes,
        "since_request_id": job.since_id,
        **{name: getattr(job, name) if job.is_compared else None for name in COMPARED},
        "status_url": _url(job, "status"),
        "details_url": _url(job, "details"),
        "download_url": _url(job, "download"),
        "webhooks_url": _url(job, "webhooks"),
        "archive_url": _url(job, "archive"),
        "cancel_url": _url(job, "cancel") if active else None,
        "retry_url": _url(job, "retry") if unfinished and not active else None,
    }


def status_report(
    job: JobRequest,
    failures: Sequence[JobFailure],
    scores: Sequence[JobScore],
    last_delivery: WebhookDelivery | None,
) -> dict[str, Any]:
    """Return a job as StatusSchema has it; one of an earlier version has no layout or columns."""
    reading = job.reading or {}
    return job_report(job) | {
        "layout": reading.get("layout"),
        "columns": reading.get("columns"),
        "skipped_rows": reading.get("skipped_rows", 0),
        "download_format": output_form(job.reading).file_format,
        "stalled_since": stalled_since(job),
        "eta_seconds": eta_seconds(job),
        "finished_in_run": job.completed_images + job.failed_images - job.done_before,
        **scores_report(scores),
        "errors": [failure_report(job, failure) for failure in failures],
        "last_delivery": last_delivery,
    }


def scores_report(scores: Sequence[JobScore]) -> dict[str, Any]:
    """Return the scores of a job's images, and the advice for them, as StatusSchema has them."""
    total = sum(entry.images for entry in scores)
    if not total:
        return {"scores": None, "advice": []}
    counted, median = 0, 0
    ratings = dict.fromkeys(RATINGS, 0)
    advice: dict[str, dict[str, Any]] = {}
    for entry in scores:
        if counted <= (total - 1) // 2:
            median = entry.score
        counted += entry.images
        ratings[rating_of(entry.score)] += entry.images
        if entry.advice_format:
            of_format = advice.setdefault(
                entry.advice_format, {"format": entry.advice_format, "images": 0, "saved_bytes": 0}
            )
            of_format["images"] += entry.images
            of_format["saved_bytes"] += entry.saved_bytes
    return {
        "scores": {
            "median": median,
            "lowest": scores[0].score,
            "rating": rating_of(median),
            "images": [{"rating": word, "count": count} for word, count in ratings.items()],
        },
        "advice": sorted(advice.values(), key=lambda entry: -entry["saved_bytes"]),
    }


def failure_report(job: JobRequest, failure: JobFailure) -> dict[str, Any]:
    """Return failures of one kind as FailureSchema has them."""
    group = {"code": failure.code, "host": failure.host, "found": failure.found}
    query = urlencode({name: value for name, value in group.items() if value})
    can_help = failure.code in IMAGE_ERRORS and not IMAGE_ERRORS[failure.code].needs_other_url
    return {
        "code": failure.code,
        "host": failure.host,
        "found": failure.found or None,
        "count": failure.images,
        "example_row": failure.example_row,
        "details_url": f"{_url(job, 'details')}?{query}",
        "retry_url": f"{_url(job, 'retry')}?{query}" if can_help and not is_active(job) else None,
    }


def image_report(image: CompressedImage) -> dict[str, Any]:
    """Return an image as ImageSchema has it."""
    return {
        "image_id": image.image_id,
        "row_number": image.row_number,
        "serial_number": image.serial_number,
        "product_name": image.product_name,
        "position": image.position,
        "input_url": image.input_url,
        "output_url": signed_url(image.image_url),
        "status": image.status,
        "outcome": image.outcome,
        "change": image.change,
        "error": {"code": image.error_code, "message": image.error_message}
        if image.error_code
        else None,
        "input_bytes": image.input_bytes,
        "output_bytes": image.output_bytes,
        "width": image.width,
        "height": image.height,
        "output_format": image.output_format,
        "quality": image.quality,
        "score": None if image.score is None else round(image.score, 1),
        "rating": None if image.score is None else rating_of(image.score),
        "advice": advice_report(image),
        "similarity": image.similarity if image.score is None else round(image.score / 100, 3),
    }


def advice_report(image: CompressedImage) -> dict[str, Any] | None:
    """Return what another format would save, as AdviceSchema has it."""
    if not image.advice_format or image.advice_bytes is None or not image.input_bytes:
        return None
    saved = round(100 - 100 * image.advice_bytes / image.input_bytes)
    name = {"webp": "WebP", "avif": "AVIF", "jpeg": "JPEG"}.get(
        image.advice_format, image.advice_format.upper()
    )
    return {
        "format": image.advice_format,
        "output_bytes": image.advice_bytes,
        "saved_percentage": saved,
        "message": f"As {name}, this image would be about {saved} % smaller than its original at the"
        f" same looks. Upload it with format={image.advice_format}, or with format=auto.",
    }


def _url(job: JobRequest, call: str) -> str:
    return job_url(base_url(), call, job.request_id)
