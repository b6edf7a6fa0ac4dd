"""The service with its files in a bucket of S3: all that it does, and what it does without it."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from zipfile import ZipFile

import pytest
import requests

from ..faults.installation import Installation, installation
from ..faults.verdict import catalogue_of, watched_job
from ..origin import PlainOrigin
from tests.support.buckets import Bucket
from tests.support.photos import difference, sample
from tests.support.service import wait_until

PHOTOS = {
    f"/{name}": (200, f"image/{kind}", sample(name))
    for name, kind in (("rocket.jpg", "jpeg"), ("coffee.png", "png"))
}


@pytest.fixture(scope="module")
def shared(s3_endpoint: str) -> Iterator[Bucket]:
    """Return the bucket of the service."""
    bucket = Bucket(s3_endpoint)
    yield bucket
    bucket.close()


@pytest.fixture(scope="module")
def service(shared: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Return a running service that stores in the bucket."""
    with installation("embedded", tmp_path_factory.mktemp("s3"), **shared.environment) as running:
        yield running


def _csv(origin: PlainOrigin) -> bytes:
    urls = ",".join(origin.url(path) for path in PHOTOS)
    return f'S. No.,Product Name,Input Image Urls\n1,Rocket,"{urls}"\n'.encode()


def test_a_job_from_its_upload_to_its_deletion(service: Installation, shared: Bucket) -> None:
    with PlainOrigin(PHOTOS) as origin:
        request_id = service.submit(_csv(origin))
        assert service.finished(request_id)["completed_images"] == 2
    images = service.details(request_id)
    assert sorted(shared.objects()) == sorted(
        [
            f"some/prefix/csv/{request_id}/input.csv",
            *(
                f"some/prefix/images/{request_id}/{image['image_id']}"
                f".{image['output_url'].rpartition('.')[2]}"
                for image in images
            ),
        ]
    )
    for image, (_, media_type, source) in zip(images, PHOTOS.values(), strict=True):
        answer = requests.get(image["output_url"], timeout=30)
        assert answer.headers["Content-Type"] == media_type
        assert len(answer.content) == image["output_bytes"] <= len(source) / 2
        assert difference(answer.content, source) < 10
        part = requests.get(image["output_url"], headers={"Range": "bytes=5-9"}, timeout=30)
        assert (part.status_code, part.content) == (206, answer.content[5:10])
    (row,) = csv.DictReader(
        io.StringIO(
            service.get(f"/job/download/{request_id}").content.decode("utf-8-sig"), newline=""
        )
    )
    assert row["Output Image Urls"].split(",") == [image["output_url"] for image in images]
    archive = ZipFile(io.BytesIO(service.get(f"/job/archive/{request_id}").content))
    assert archive.testzip() is None and len(archive.namelist()) == 2
    requests.delete(f"{service.url}/job/{request_id}", timeout=30).raise_for_status()
    wait_until(lambda: shared.objects() == [], 30, lambda: service.log)


def test_a_job_waits_while_its_bucket_is_gone(service: Installation, shared: Bucket) -> None:
    with watched_job(service, 60, delay=0.3) as job:
        job.wait_for(10)
        with shared.taken_away():
            wait_until(
                lambda: service.get("/readyz").json()["checks"]["storage"] == "unavailable", 30
            )
            rejected = service.upload(catalogue_of(job.origin, 1))
            assert (rejected.status_code, rejected.json()["code"]) == (503, "storage_unavailable")
            wait_until(lambda: "are waiting for the storage" in service.log, 30)
            time.sleep(1)
            assert service.status(job.request_id)["status"] == "PROCESSING"
            assert job.done() < 60
        assert job.verdict().clean, service.log[-5000:]
    wait_until(lambda: service.get("/readyz").ok, 30)


def test_no_connection_is_dropped_because_its_pool_is_full(service: Installation) -> None:
    assert "pool is full" not in service.log


def test_no_secret_is_logged(service: Installation, shared: Bucket) -> None:
    assert shared.environment["AWS_SECRET_ACCESS_KEY"] not in service.log
