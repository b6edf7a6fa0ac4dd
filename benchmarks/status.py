"""Measure what callers pay who ask: polls, pages of images, the output CSV and the archive.

    python -m benchmarks.status [--images N] [--seconds S] [--listed N]

The cost of a status for a job of ten images and for one of a million, in turns; how long polls take
at a hundred a second while both cores compress another job; the first page of images and the last;
and how much the memory of a web process grows while it sends the CSV and the ZIP of a large job.
The whole service runs on Postgres.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

import requests
from sqlalchemy import update

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import PART_ROWS, create_job
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import CompressedImage, JobRequest
from imgcompress.ledger.session import writing
from imgcompress.storage import csv_key, open_storage

from .intake import HEADER, URL, images, new_job, seconds
from .peers.origin import serving
from .peers.photos import CATALOGUE, photos_of
from .verdicts import Verdict, children, cpu_seconds, print_verdicts, resident
from tests.support.databases import fresh_database, migrate
from tests.support.new_images import by_columns
from tests.support.service import Service

POLLS_PER_SECOND = 100
PER_PAGE = 100
TURNS = 7
POLLS_A_TURN = 100
PIECE = b"\xff\xd8" + bytes(40_000)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="What polls, pages and downloads cost")
    parser.add_argument("--images", type=int, default=1_000_000, help="of the large job")
    parser.add_argument("--listed", type=int, default=50_000, help="images in the CSV and the ZIP")
    parser.add_argument("--seconds", type=int, default=30, help="of polls while it compresses")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fresh_database() as url:
        data_dir = Path(folder, "var")
        data_dir.mkdir()
        migrate(url, data_dir)
        app = create_app(load_settings(None, database_url=url, data_dir=data_dir))
        with app.app_context():
            small, large = (job_of(images) for images in (10, options.images))
            short, long = (
                finished_job(data_dir, images) for images in (options.listed // 10, options.listed)
            )
            db.engine.dispose()
        plain = url.replace("+psycopg2", "")
        with Service(data_dir, DATABASE_URL=plain, RECOVERY_INTERVAL="5") as service:
            verdicts = [
                *sizes(service, small, large),
                *pages(service, large, options.images),
                *polls(service, large, options.seconds),
                *downloads(service, short, long),
            ]
    print_verdicts(f"A job of {options.images:,} images, {os.cpu_count()} cores", verdicts)


def job_of(count: int) -> UUID:
    """Write a job that nobody works on; return its id."""
    job = new_job(count)
    create_job(job, by_columns(images(count, count), PART_ROWS), slice_size=50)
    cancel_job(job.request_id)
    return job.request_id


def finished_job(data_dir: Path, count: int) -> UUID:
    """Write a job whose images are all compressed, into one and the same file."""
    request_id = job_of(count)
    storage = open_storage(load_settings(None, data_dir=data_dir))
    storage.write("images/piece.jpg", PIECE)
    rows = "".join(f"{n},Product number {n},{URL.format(n)}\r\n" for n in range(count))
    storage.copy_from(csv_key(request_id), io.BytesIO((HEADER + rows).encode()))
    with writing() as session:
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == request_id)
            .values(
                status="COMPLETED",
                storage_key="images/piece.jpg",
                output_format="jpeg",
                image_url="http://service.test/image/piece.jpg",
            )
            .execution_options(synchronize_session=False)
        )
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == request_id)
            .values(status="COMPLETED", completed_images=count)
        )
    return request_id


def sizes(service: Service, small: UUID, large: UUID) -> list[Verdict]:
    """Compare the processor time of polls for both jobs, and of polls that get a 304."""
    took: dict[str, list[float]] = {"small": [], "large": [], "same": []}
    with requests.Session() as session:
        etag = session.get(_status(service, large), timeout=60).headers["ETag"]
        turns: dict[str, Callable[[], object]] = {
            "small": lambda: session.get(_status(service, small), timeout=60),
            "large": lambda: session.get(_status(service, large), timeout=60),
            "same": lambda: session.get(
                _status(service, large), timeout=60, headers={"If-None-Match": etag}
            ),
        }
        for _ in range(TURNS):
            for name, ask in turns.items():
                before = _web_cpu(service)
                for _ in range(POLLS_A_TURN):
                    ask()
                took[name].append((_web_cpu(service) - before) / POLLS_A_TURN * 1000)
    ratio = median(took["large"]) / median(took["small"])
    return [
        Verdict("status of the large job beside that of ten images", ratio, 1.1, "times"),
        Verdict("processor time of a status", median(took["large"]), unit="ms"),
        Verdict("processor time of a 304", median(took["same"]), unit="ms"),
    ]


def pages(service: Service, large: UUID, count: int) -> list[Verdict]:
    """Compare the first page of images with the last, of all and of those of one status."""
    last = (count - 1) // PER_PAGE + 1
    first_page = _page_seconds(service, large, page=1)
    last_page = _page_seconds(service, large, page=last)
    of_status = _page_seconds(service, large, page=1, status="PENDING")
    after = _page_seconds(service, large, page=last, status="PENDING", after=count - PER_PAGE)
    by_number = _page_seconds(service, large, page=last, status="PENDING")
    return [
        Verdict(
            f"page {last:,} of the details beside page 1", last_page / first_page, 1.5, "times"
        ),
        Verdict("the same of one status, by `next`", after / of_status, 1.5, "times"),
        Verdict("the same of one status, by its number", by_number / of_status, unit="times"),
        Verdict("page 1 of the details", first_page * 1000, unit="ms"),
    ]


def polls(service: Service, large: UUID, duration: int) -> list[Verdict]:
    """Poll a hundred times a second while a job of photos keeps all cores busy."""
    photos = next(photos for photos in photos_of(None) if photos.kind is CATALOGUE)
    with serving(photos.files) as origin, ThreadPoolExecutor(32) as pool:
        rows = (f"{n},a,{url}" for n, url in enumerate(origin.urls(20_000)))
        busy = service.submit("\r\n".join([HEADER.strip(), *rows]).encode())
        while not service.status(busy)["completed_images"]:
            time.sleep(0.1)
        before, began = service.status(busy)["completed_images"], time.perf_counter()
        due = [began + number / POLLS_PER_SECOND for number in range(duration * POLLS_PER_SECOND)]
        urls = [_status(service, busy), _status(service, large)]
        took = list(pool.map(lambda place: _poll_at(due[place], urls[place % 2]), range(len(due))))
        elapsed = time.perf_counter() - began
        done = service.status(busy)["completed_images"] - before
        requests.delete(f"{service.url}/job/{busy}", timeout=60)
    cuts = quantiles(took, n=100)
    return [
        Verdict("polls while it compresses, 99 of 100 within", cuts[98] * 1000, 50, "ms"),
        Verdict("half of them within", cuts[49] * 1000, unit="ms"),
        Verdict("polls in a second", len(due) / elapsed, unit="polls/s"),
        Verdict("images meanwhile", done / elapsed, unit="images/s"),
    ]


def downloads(service: Service, short: UUID, long: UUID) -> list[Verdict]:
    """Measure how much more memory a web process takes for a download that is ten times as long."""
    found = []
    for name in ("download", "archive"):
        _fetch(service, name, short)
        before = _web_memory(service)
        rate = _fetch(service, name, long)
        found += [
            Verdict(f"growth of a web process, {name}", _web_memory(service) - before, 8, "MiB"),
            Verdict(f"{name}", rate / 1e6, unit="MB/s"),
        ]
    return found


def _fetch(service: Service, name: str, job: UUID) -> float:
    """Read an answer to its end; return its bytes per second."""
    size, began = 0, time.perf_counter()
    with requests.get(f"{service.url}/job/{name}/{job}", stream=True, timeout=600) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_content(1 << 20):
            size += len(chunk)
    return size / (time.perf_counter() - began)


def _page_seconds(service: Service, job: UUID, **query: int | str) -> float:
    url = f"{service.url}/job/details/{job}"
    with requests.Session() as session:

        def ask() -> None:
            answer = session.get(url, params={"per_page": PER_PAGE, **query}, timeout=60)
            assert len(answer.json()["images"]) in (PER_PAGE, PER_PAGE - 1), answer.text

        ask()
        return min(seconds(ask) for _ in range(2 * TURNS))


def _poll_at(due: float, url: str) -> float:
    time.sleep(max(0.0, due - time.perf_counter()))
    return seconds(lambda: requests.get(url, timeout=60).raise_for_status())


def _status(service: Service, job: object) -> str:
    return f"{service.url}/job/status/{job}"


def _web(service: Service) -> list[int]:
    """Return the processes of the web server that answer."""
    assert service.process is not None
    masters = [
        child
        for child in children(service.process.pid)
        if b"gunicorn" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return [worker for master in masters for worker in children(master)]


def _web_cpu(service: Service) -> float:
    return sum(map(cpu_seconds, _web(service)))


def _web_memory(service: Service) -> float:
    return max(resident(worker, "VmHWM") for worker in _web(service))


if __name__ == "__main__":
    main()
