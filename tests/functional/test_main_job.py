"""The main job: a CSV in by HTTP, compressed images, the CSV out, webhooks on the way."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from PIL import Image

from ..origin import PlainOrigin
from tests.support.photos import difference, sample, webp_photo
from tests.support.receiver import Arrival, Receiver
from tests.support.service import ROOT, Service, wait_until

PHOTOS = {
    "/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg")),
    "/coffee.png": (200, "image/png", sample("coffee.png")),
    "/cat.webp": (200, "image/webp", webp_photo()),
    "/page.jpg": (200, "text/html", b"<!doctype html><html><body>Not an image</body></html>"),
}
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass
class Job:
    """A finished job, with all that can be seen of it."""

    service: Service
    origin: PlainOrigin
    request_id: str
    upload: dict[str, Any]
    status: dict[str, Any]
    images: list[dict[str, Any]]
    arrivals: list[Arrival]

    def output(self, number: int) -> bytes:
        """Return the compressed image of the given number."""
        answer = self.service.get(self.images[number]["output_url"].removeprefix(self.service.url))
        assert answer.ok
        return answer.content


@pytest.fixture(scope="module")
def job(service: Service) -> Iterator[Job]:
    """Upload a CSV of photos and of URLs that fail, and wait for the end of its job."""
    with PlainOrigin(PHOTOS) as origin, Receiver() as receiver:
        answer = service.upload(_csv(origin.url("")), webhook_url=receiver.url)
        assert answer.status_code == 202, answer.text
        request_id = answer.json()["request_id"]
        assert answer.headers["Location"].endswith(f"/job/status/{request_id}")
        status = service.finished(request_id)
        wait_until(lambda: len(receiver.of(request_id)) == 2, 30, lambda: service.log)
        yield Job(
            service,
            origin,
            request_id,
            answer.json(),
            status,
            service.details(request_id),
            receiver.of(request_id),
        )


def _csv(url: str) -> bytes:
    rows = [
        ("1", "Rocket; blue", f"{url}/rocket.jpg", "=1+1"),
        ("2", "Coffee \u2615", f"{url}/coffee.png, {url}/cat.webp", "warm"),
        ("3", "Lost", f"{url}/missing.jpg,{url}/page.jpg,{url}/rocket.jpg", ""),
    ]
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(("S. No.", "Product Name", "Input Image Urls", "Note"))
    writer.writerows(rows)
    return file.getvalue().encode()


def test_the_upload_reports_its_counts(job: Job) -> None:
    assert re.fullmatch(UUID, job.request_id)
    assert job.upload.pop("message")
    assert job.upload == {
        "request_id": job.request_id,
        "status": "PENDING",
        "total_rows": 3,
        "total_images": 6,
        "status_url": f"{job.service.url}/job/status/{job.request_id}",
        "layout": "imgcompress",
        "columns": {"urls": ["Input Image Urls"], "name": "Product Name", "id": "S. No."},
        "skipped_rows": 0,
        "download_format": "csv",
        "warnings": [],
    }


def test_the_status_shows_how_the_job_ended(job: Job) -> None:
    status = job.status
    assert (status["request_id"], status["status"]) == (job.request_id, "COMPLETED")
    assert status["completion_percentage"] == 100
    assert [status[f"{kind}_images"] for kind in ("total", "completed", "failed")] == [6, 4, 2]
    assert status["error_message"] is None
    done = [image for image in job.images if image["status"] == "COMPLETED"]
    assert status["input_bytes"] == sum(image["input_bytes"] for image in done)
    assert status["output_bytes"] == sum(image["output_bytes"] for image in done)
    assert status["output_bytes"] <= status["input_bytes"] / 2
    times = [
        datetime.fromisoformat(status[name]) for name in ("created_at", "started_at", "finished_at")
    ]
    assert times == sorted(times) and all(time.tzinfo for time in times)
    assert status["updated_at"] == status["finished_at"] and status["updated_at"].endswith("Z")
    assert status["eta_seconds"] in (None, 0)


def test_the_status_groups_the_failures(job: Job) -> None:
    page, missing = sorted(job.status["errors"], key=lambda error: error["code"])
    group = {"host": "127.0.0.1", "count": 1, "example_row": 4}
    assert page.items() >= {**group, "code": "not_an_image", "retry_url": None}.items()
    assert page["found"] == "The URL returns an HTML page (text/html)"
    assert missing.items() >= {**group, "code": "source_status"}.items()
    assert missing["found"] == "HTTP 404 Not Found"
    assert f"/job/retry/{job.request_id}?code=source_status&" in missing["retry_url"]
    for error, number in ((missing, 3), (page, 4)):
        answer = job.service.get(error["details_url"].removeprefix(job.service.url))
        (image,) = answer.json()["images"]
        assert image["image_id"] == job.images[number]["image_id"]


def test_the_details_name_every_image(job: Job) -> None:
    url = job.origin.url("")
    assert [
        (
            image["row_number"],
            image["position"],
            image["serial_number"],
            image["product_name"],
            image["input_url"],
            image["status"],
        )
        for image in job.images
    ] == [
        (2, 0, "1", "Rocket; blue", f"{url}/rocket.jpg", "COMPLETED"),
        (3, 0, "2", "Coffee \u2615", f"{url}/coffee.png", "COMPLETED"),
        (3, 1, "2", "Coffee \u2615", f"{url}/cat.webp", "COMPLETED"),
        (4, 0, "3", "Lost", f"{url}/missing.jpg", "FAILED"),
        (4, 1, "3", "Lost", f"{url}/page.jpg", "FAILED"),
        (4, 2, "3", "Lost", f"{url}/rocket.jpg", "COMPLETED"),
    ]


def test_every_output_keeps_the_promise(job: Job) -> None:
    expected = {
        0: ("/rocket.jpg", "jpeg", "image/jpeg"),
        1: ("/coffee.png", "png", "image/png"),
        2: ("/cat.webp", "webp", "image/webp"),
        5: ("/rocket.jpg", "jpeg", "image/jpeg"),
    }
    for number, (path, output_format, content_type) in expected.items():
        image, source, output = job.images[number], PHOTOS[path][2], job.output(number)
        assert image["outcome"] == "target_met" and image["error"] is None
        assert (image["input_bytes"], image["output_bytes"]) == (len(source), len(output))
        assert len(output) <= len(source) / 2
        assert image["output_format"] == output_format
        assert 40 < image["score"] <= 100 and image["rating"]
        with Image.open(io.BytesIO(output)) as made, Image.open(io.BytesIO(source)) as given:
            assert made.format == output_format.upper()
            assert made.size == given.size == (image["width"], image["height"])
        assert difference(source, output) < 8
        answer = job.service.get(image["output_url"].removeprefix(job.service.url))
        assert answer.headers["Content-Type"] == content_type


def test_a_failed_image_shows_why_and_what_to_do(job: Job) -> None:
    missing, page = job.images[3], job.images[4]
    assert missing["error"]["code"] == "source_status" and "404" in missing["error"]["message"]
    assert page["error"]["code"] == "not_an_image" and "HTML" in page["error"]["message"]
    for image in (missing, page):
        assert image["output_url"] is image["outcome"] is image["output_bytes"] is None


def test_the_same_url_is_fetched_once_and_has_two_addresses(job: Job) -> None:
    first, again = job.images[0], job.images[5]
    assert job.origin.hits["/rocket.jpg"] == 1
    assert first["image_id"] != again["image_id"] and first["output_url"] != again["output_url"]
    assert job.output(0) == job.output(5)


def test_the_output_csv_is_the_callers_own_with_two_added_columns(job: Job) -> None:
    answer = job.service.get(f"/job/download/{job.request_id}")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    header, *rows = csv.reader(io.StringIO(answer.content.decode(), newline=""))
    url, outputs = job.origin.url(""), [image["output_url"] for image in job.images]
    assert header == [
        "S. No.",
        "Product Name",
        "Input Image Urls",
        "Note",
        "Output Image Urls",
        "Image Errors",
    ]
    assert rows[0] == ["1", "Rocket; blue", f"{url}/rocket.jpg", "'=1+1", outputs[0], ""]
    assert rows[1] == [
        "2",
        "Coffee \u2615",
        f"{url}/coffee.png, {url}/cat.webp",
        "warm",
        f"{outputs[1]},{outputs[2]}",
        "",
    ]
    assert rows[2][:5] == [
        "3",
        "Lost",
        f"{url}/missing.jpg,{url}/page.jpg,{url}/rocket.jpg",
        "",
        f",,{outputs[5]}",
    ]
    assert "1: source_status" in rows[2][5] and "2: not_an_image" in rows[2][5]
    assert len(rows) == 3


def test_each_status_change_arrives_once_signed(job: Job) -> None:
    secret = subprocess.run(
        [sys.executable, "-m", "flask", "webhooks", "secret"],
        cwd=ROOT,
        text=True,
        timeout=120,
        env=job.service.environment,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.strip()
    events = [arrival.verified(secret) for arrival in job.arrivals]
    assert {event["status"] for event in events} == {"PROCESSING", "COMPLETED"}
    assert len({arrival.id for arrival in job.arrivals}) == 2
    assert all(arrival.headers["content-type"] == "application/json" for arrival in job.arrivals)


def test_the_last_webhook_agrees_with_the_status(job: Job) -> None:
    (event,) = (arrival.event for arrival in job.arrivals if arrival.event["status"] == "COMPLETED")
    for name in (
        "request_id",
        "completion_percentage",
        "total_images",
        "completed_images",
        "failed_images",
        "input_bytes",
        "output_bytes",
    ):
        assert event[name] == job.status[name]
    assert event["images"] == [
        {name: image[name] for name in ("input_url", "output_url", "status")}
        for image in job.images
    ]
    assert event["message"] and event["images_truncated"] is False
    for link in ("details_url", "download_url"):
        assert job.service.get(event[link].removeprefix(job.service.url)).ok


def test_no_connection_is_dropped_because_its_pool_is_full(job: Job) -> None:
    assert "pool is full" not in job.service.log


def test_nobody_else_can_read_the_files_of_the_service(job: Job) -> None:
    kept = [job.service.data_dir, *job.service.data_dir.rglob("*")]
    assert {"input.csv"} <= {path.name for path in kept}
    assert {path.suffix for path in kept} >= {".jpg", ".png", ".webp"}
    modes = {
        str(path): path.lstat().st_mode & 0o077
        for path in kept
        if path.exists() and not path.is_socket()
    }
    assert {path: mode for path, mode in modes.items() if mode} == {}


def test_health_and_readiness(service: Service) -> None:
    assert service.get("/healthz").ok
    ready = service.get("/readyz")
    assert ready.status_code == 200 and ready.json()["status"] == "ok", ready.text


def test_an_unknown_job_is_not_found(service: Service) -> None:
    answer = service.get("/job/status/00000000-0000-4000-8000-000000000000")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
