"""The payloads of events: for systems by webhook, for people by mail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..ledger.models import JobFailure, JobRequest, JobStatus
from ..ledger.outbox import DoneImage
from ..links import job_url, signed_url

# What common receivers and queues take as one message.
MAX_PAYLOAD_BYTES = 256 * 1024

MESSAGES = {
    JobStatus.PENDING: "The job is waiting for a worker.",
    JobStatus.PROCESSING: "The images are being compressed.",
    JobStatus.COMPLETED: "The job is done; see the counts for failed images.",
    JobStatus.FAILED: "None of the images could be compressed.",
    JobStatus.CANCELLED: "The job was cancelled.",
}


def webhook_payload(job: JobRequest, done: Sequence[DoneImage]) -> str:
    """Return the JSON of a status event, in a fixed order of fields and in ASCII.

    `images` are those that are done, in their order, and fewer where their URLs are so long that
    the payload would exceed MAX_PAYLOAD_BYTES.
    """
    room = MAX_PAYLOAD_BYTES - len(_json(_event(job, [], truncated=True)))
    images = []
    for image in done:
        entry = {
            "input_url": image.input_url,
            "output_url": signed_url(image.image_url),
            "status": image.status,
        }
        room -= len(_json(entry)) + 1
        if room < 0:
            break
        images.append(entry)
    truncated = len(images) < job.completed_images + job.failed_images
    return _json(_event(job, images, truncated=truncated))


def mail_payload(job: JobRequest, failures: Sequence[JobFailure]) -> str:
    """Return the JSON from which the mail about the end of a job is written."""
    return _json(
        _counts(job)
        | {
            "source_filename": job.source_filename,
            "failures": [
                {
                    "code": failure.code,
                    "host": failure.host,
                    "found": failure.found,
                    "count": failure.images,
                    "example_row": failure.example_row,
                }
                for failure in failures
            ],
        }
        | _links(job)
    )


def _event(job: JobRequest, images: list[dict[str, Any]], *, truncated: bool) -> dict[str, Any]:
    return (
        _counts(job)
        | _changes(job)
        | {"images": images, "images_truncated": truncated}
        | _links(job)
    )


def _counts(job: JobRequest) -> dict[str, Any]:
    return {
        "request_id": str(job.request_id),
        "status": job.status,
        "message": MESSAGES[JobStatus(job.status)],
        "completion_percentage": job.completion_percentage,
        "total_images": job.total_images,
        "completed_images": job.completed_images,
        "failed_images": job.failed_images,
        "input_bytes": job.input_bytes,
        "output_bytes": job.output_bytes,
    }


def _changes(job: JobRequest) -> dict[str, Any]:
    """Return the changes since the earlier job, for a job that is compared with one."""
    if not job.is_compared:
        return {}
    return {
        "since_request_id": job.since_id and str(job.since_id),
        "unchanged_images": job.unchanged_images,
        "changed_images": job.changed_images,
        "new_images": job.new_images,
        "removed_images": job.removed_images,
        "bytes_not_downloaded": job.bytes_not_downloaded,
    }


def _links(job: JobRequest) -> dict[str, str]:
    return {
        f"{call}_url": job_url(job.base_url, call, job.request_id)
        for call in ("details", "download")
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
