"""A job with images at hosts that misbehave: the others are as well as if they were alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from ..origin import HostileOrigin, PlainOrigin
from ..origin.crowd import Crowd, crowd
from tests.support.photos import SAMPLES
from tests.support.service import Service

# Short limits, so that what has to be waited for is waited for briefly.
SETTINGS = {
    "FETCH_TIMEOUT": "2",
    "FETCH_CONNECT_TIMEOUT": "1",
    "FETCH_CONCURRENCY": "8",
    "FETCH_SUSPEND_SECONDS": "2",
    "MAX_IMAGE_BYTES": str(2 * 2**20),
    "SLICE_SIZE": "10",
}
GOOD, OF_EACH = 80, 1


@pytest.fixture(scope="module")
def photo() -> bytes:
    """Return a small photo that can be made smaller."""
    with Image.open(SAMPLES / "rocket.jpg") as image:
        image.thumbnail((240, 240))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        return file.getvalue()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with short limits."""
    with Service(tmp_path_factory.mktemp("hostile") / "var", **SETTINGS) as service:
        yield service


@dataclass
class Job:
    """A finished job of the crowd."""

    crowd: Crowd
    status: dict[str, Any]
    images: list[dict[str, Any]]


@pytest.fixture(scope="module")
def job(service: Service, photo: bytes) -> Iterator[Job]:
    """Process a catalogue from a crowd of origins, in which every tenth image comes again."""
    with crowd(photo, good=GOOD, of_each=OF_EACH) as origins:
        request_id = service.submit(origins.csv(more=origins.good_urls[::10]))
        status = service.finished(request_id)
        yield Job(origins, status, service.details(request_id))


def test_every_good_image_is_completed(job: Job) -> None:
    again = len(job.crowd.good_urls[::10])
    assert job.status["status"] == "COMPLETED"
    assert job.status["completed_images"] == GOOD + again
    assert job.status["failed_images"] == len(job.crowd.hostile_urls)
    done = {image["input_url"] for image in job.images if image["status"] == "COMPLETED"}
    assert done == set(job.crowd.good_urls)


def test_every_hostile_image_fails_for_its_own_reason(job: Job) -> None:
    failed = {
        image["input_url"]: image["error"]["code"]
        for image in job.images
        if image["status"] == "FAILED"
    }
    assert {
        url: codes for url, codes in job.crowd.hostile_urls.items() if failed[url] not in codes
    } == {}


def test_the_same_url_in_several_slices_is_fetched_once(job: Job) -> None:
    assert max(job.crowd.good.hits.values()) == 1
    urls = [image["output_url"] for image in job.images if image["status"] == "COMPLETED"]
    assert len(set(urls)) == len(urls)


def test_the_status_shows_the_numbers_that_hosts_answered(job: Job) -> None:
    found = {error["found"] for error in job.status["errors"] if error["code"] == "source_status"}
    assert found == {"HTTP 204 No Content", "HTTP 403 Forbidden", "HTTP 429 Too Many Requests"}


def test_a_dead_host_is_suspended_and_its_images_fail_in_the_end(
    service: Service, photo: bytes
) -> None:
    dead, good = 60, 20
    with (
        HostileOrigin() as failing,
        PlainOrigin(
            {f"/{number}.jpg": (200, "image/jpeg", photo) for number in range(good)}
        ) as well,
    ):
        urls = [failing.url(f"/status/502?{number}") for number in range(dead)] + [
            well.url(path) for path in well.files
        ]
        rows = "".join(f"{number},Lamp,{url}\n" for number, url in enumerate(urls))
        request_id = service.submit(f"S. No.,Product Name,Input Image Urls\n{rows}".encode())
        status = service.finished(request_id)
        asked = sum(failing.hits.values())
    assert (status["status"], status["completed_images"], status["failed_images"]) == (
        "COMPLETED",
        good,
        dead,
    )
    # Without suspension every image would be asked for three times.
    assert asked < dead
    suspended = [error for error in status["errors"] if error["code"] == "host_suspended"]
    assert [error["found"] for error in suspended] == ["HTTP 502 Bad Gateway"]
    assert suspended[0]["count"] > dead / 2
