"""What a worker does to a job, in short."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from flask import Flask

from imgcompress.ledger.models import CompressedImage, JobRequest
from imgcompress.ledger.results import Failure, Result, Success, record_results
from imgcompress.ledger.slices import PendingImage, claim_slice, pending_images
from imgcompress.storage import image_key

from tests.support.records import images_of, job_of

PHOTO = bytes(range(256)) * 4


def process(
    app: Flask, request_id: str, *, fails: Collection[int] = (), only: Collection[int] | None = None
) -> None:
    """Finish a job's images, or `only` those at these ordinals; those in `fails` fail."""
    with app.app_context():
        claim = claim_slice(UUID(request_id), 0, lease_seconds=60)
        assert claim is not None
        results = [
            _failure(image) if image.ordinal in fails else _success(app, request_id, image)
            for image in pending_images(claim)
            if only is None or image.ordinal in only
        ]
        record_results(claim, results, lease_seconds=60)


def _success(app: Flask, request_id: str, image: PendingImage) -> Result:
    key = image_key(request_id, image.image_id, "jpg")
    app.extensions["storage"].write(key, PHOTO)
    return Success(
        image,
        "target_met",
        input_bytes=4096,
        output_bytes=len(PHOTO),
        width=20,
        height=10,
        output_format="jpeg",
        extension="jpg",
        quality=60,
        score=78.44,
        storage_key=key,
    )


def _failure(image: PendingImage) -> Result:
    return Failure(
        image, "source_status", "HTTP 404. The server did not give the image.", "HTTP 404 Not Found"
    )


def job(app: Flask, request_id: str) -> JobRequest:
    """Return the job's row."""
    with app.app_context():
        return job_of(UUID(request_id))


def images(app: Flask, request_id: str) -> list[CompressedImage]:
    """Return the rows of the job's images."""
    with app.app_context():
        return images_of(UUID(request_id))
