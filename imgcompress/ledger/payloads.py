"""What an event tells: to a system by webhook, to a person by mail."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from .image_urls import told_url
from .models import CompressedImage, JobFailure, JobRequest
from .states import ImageStatus, JobStatus

MAX_IMAGES = 1000
# What common receivers and queues take as one message.
MAX_PAYLOAD_BYTES = 256 * 1024
FAILURES_IN_MAIL = 20

MESSAGES = {
    JobStatus.PENDING: "The job is waiting for a worker.",
    JobStatus.PROCESSING: "The images are being compressed.",
    JobStatus.COMPLETED: "The job is done; see the counts for failed images.",
    JobStatus.FAILED: "None of the images could be compressed.",
    JobStatus.CANCELLED: "The job was cancelled.",
}


def webhook_payload(session: Session, job: JobRequest) -> str:
    """Return the JSON of a status event, in a fixed order of fields and in ASCII.

    `images` are those that are done, in their order: MAX_IMAGES of them at most, and fewer where
    their URLs are so long that the payload would exceed MAX_PAYLOAD_BYTES.
    """
    done = job.completed_images + job.failed_images
    room = MAX_PAYLOAD_BYTES - len(_json(_event(job, [], truncated=True)))
    images = []
    for image in _images(session, job.request_id):
        room -= len(_json(image)) + 1
        if room < 0:
            break
        images.append(image)
    return _json(_event(job, images, truncated=len(images) < done))


def mail_payload(session: Session, job: JobRequest) -> str:
    """Return the JSON from which the mail about the end of a job is written."""
    failures = session.scalars(
        select(JobFailure).where(JobFailure.request_id == job.request_id)
        .order_by(JobFailure.images.desc(), JobFailure.example_row).limit(FAILURES_IN_MAIL))
    return _json(_counts(job) | {
        "source_filename": job.source_filename,
        "failures": [{"code": failure.code, "host": failure.host, "found": failure.found,
                      "count": failure.images, "example_row": failure.example_row}
                     for failure in failures],
    } | _links(job))


def _event(job: JobRequest, images: list[dict[str, Any]], *, truncated: bool) -> dict[str, Any]:
    return _counts(job) | {"images": images, "images_truncated": truncated} | _links(job)


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


def _links(job: JobRequest) -> dict[str, str]:
    return {
        "details_url": f"{job.base_url}/job/details/{job.request_id}",
        "download_url": f"{job.base_url}/job/download/{job.request_id}",
    }


def _images(session: Session, request_id: UUID) -> list[dict[str, Any]]:
    image = CompressedImage
    rows = session.execute(
        select(image.input_url, image.image_url, image.status)
        .where(image.request_id == request_id, image.status != ImageStatus.PENDING)
        .order_by(image.ordinal).limit(MAX_IMAGES))
    return [{"input_url": row.input_url, "output_url": told_url(row.image_url),
             "status": row.status} for row in rows]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
