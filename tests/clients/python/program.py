"""Upload a CSV with the client that openapi-python-client makes; print the results of its images.

Run as: python program.py BASE_URL CSV
"""

from __future__ import annotations

import io
import json
import sys
from typing import TypeVar
from uuid import UUID

from imgcompress_client import Client
from imgcompress_client.api.details import get_details
from imgcompress_client.api.job import get_status
from imgcompress_client.api.upload import upload
from imgcompress_client.models import (
    Accepted,
    Details,
    Image,
    ImageError,
    Problem,
    Status,
    StatusStatus,
    Upload,
    UploadFormat,
)
from imgcompress_client.types import File

ACTIVE = {StatusStatus.PENDING, StatusStatus.PROCESSING}
Answer = TypeVar("Answer")


def submit(client: Client, csv: str) -> UUID:
    """Upload the CSV; return the id of its job."""
    file = File(payload=io.BytesIO(csv.encode()), file_name="products.csv", mime_type="text/csv")
    body = Upload(file=file, format_=UploadFormat.WEBP, quality=60)
    return expect(Accepted, upload.sync(client=client, body=body)).request_id


def finished(client: Client, request_id: UUID) -> Status:
    """Wait for the end of the job."""
    while True:
        status = expect(Status, get_status.sync(request_id, client=client, wait=10))
        if status.status not in ACTIVE:
            return status


def expect(kind: type[Answer], answer: object) -> Answer:
    """Return the answer if it is of this kind; else say why it is not, and end."""
    if isinstance(answer, Problem):
        sys.exit(f"{answer.status} {answer.code}")
    if not isinstance(answer, kind):
        sys.exit(f"Not a {kind.__name__}: {answer!r}")
    return answer


def shown(image: Image) -> dict[str, object]:
    """Return what is printed of an image."""
    error = image.error
    return {
        "input_url": image.input_url,
        "output_url": image.output_url,
        "output_bytes": image.output_bytes,
        "output_format": image.output_format,
        "error": error.code if isinstance(error, ImageError) else None,
    }


def main(base_url: str, csv: str) -> None:
    """Follow one job from its upload to its images."""
    client = Client(base_url=base_url)
    status = finished(client, submit(client, csv))
    details = expect(Details, get_details.sync(status.request_id, client=client, per_page=10))
    print(
        json.dumps(
            {
                "request_id": str(status.request_id),
                "status": status.status.value,
                "failures": [[failure.code, failure.count] for failure in status.errors],
                "images": list(map(shown, details.images)),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
