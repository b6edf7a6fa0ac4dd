"""Measure the way of a large CSV over HTTP into the ledger, beside SQLAlchemy's own insert.

    python -m benchmarks.intake [--rows N] [--rounds N] [--only sqlite|postgres]

Rows per second of a whole upload by curl to the real web server, beside SQLAlchemy's insert of many
values into the same table, in turns; how much the memory of a web process grew; and the longest
that another writer and a caller who polls had to wait during one more upload. The rest of the
service does not run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from threading import Event, Thread
from uuid import uuid4

import requests
from flask import current_app
from sqlalchemy import delete, insert

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import PART_ROWS, NewJob, create_job
from imgcompress.ledger.models import CompressedImage, JobRequest, utcnow
from imgcompress.ledger.session import writing

from .verdicts import Verdict, children, cpu_seconds, print_verdicts, resident
from tests.support.databases import fresh_database, migrate
from tests.support.new_images import NewImage, by_columns
from tests.support.service import ROOT, free_port, wait_until

URL = "https://cdn.shop.example.com/images/2026/product-{:08d}.jpg"
HEADER = "S. No.,Product Name,Input Image Urls\r\n"
ROWS_PER_SECOND = {"postgres": 100_000, "sqlite": 90_000}
TIMES_INSERT = 4
GROWTH_MIB = 64
SINCE_RATE = 0.6
REFERENCE_ROWS = 100_000
# As many as deploy/gunicorn.conf.py starts; one of them may answer before there is another.
WEB_PROCESSES = 2


def main() -> None:
    """Run the benchmark and print a table for each database."""
    parser = argparse.ArgumentParser(description="Rows per second into the ledger")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(ROWS_PER_SECOND))
    options = parser.parse_args()
    for name in [options.only] if options.only else list(ROWS_PER_SECOND):
        with ledger(name) as (url, folder):
            measure(name, url, folder, options.rows, options.rounds)


@contextmanager
def ledger(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the URL of a fresh ledger, and a folder."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = (
            f"sqlite:///{folder}/ledger.sqlite3"
            if name == "sqlite"
            else stack.enter_context(fresh_database())
        )
        migrate(url, Path(folder))
        yield url, Path(folder)


def measure(name: str, url: str, folder: Path, rows: int, rounds: int) -> None:
    """Upload a CSV and insert rows, in turns, and print what came of it."""
    catalogue = write_catalogue(folder, rows)
    app = create_app(load_settings(None, database_url=url, data_dir=folder))
    with app.app_context(), web_server(url, folder) as (address, processes):
        warm_up(address, processes)
        before = {process: resident(process, "VmRSS") for process in processes}
        uploads, inserts, compared, compared_cpu = [], [], [], []
        for _ in range(rounds):
            inserts.append(REFERENCE_ROWS / seconds(lambda: insert_many_values(REFERENCE_ROWS)))
            began, cpu = time.perf_counter(), sum(map(cpu_seconds, processes))
            request_id = upload(address, catalogue)
            between, cpu_between = time.perf_counter(), sum(map(cpu_seconds, processes))
            upload(address, catalogue, since=request_id)
            ended, cpu_ended = time.perf_counter(), sum(map(cpu_seconds, processes))
            uploads.append(rows / (between - began))
            compared.append((between - began) / (ended - between))
            compared_cpu.append((cpu_between - cpu) / (cpu_ended - cpu_between))
        grown = max(resident(process, "VmHWM") - before[process] for process in processes)
        with longest(write) as writer, longest(lambda: poll(address)) as poller:
            upload(address, catalogue)
        repeated = by_columns(images(rows, rows // 2), PART_ROWS)
        twice = rows / seconds(lambda: create_job(new_job(rows), repeated, slice_size=50))
        db.engine.dispose()
    size = catalogue.stat().st_size / 1e6
    rate, reference = median(uploads), median(inserts)
    print_verdicts(
        f"{name}: {rows:,} rows with one image each, {size:.0f} MB, over HTTP",
        [
            Verdict("upload", rate, ROWS_PER_SECOND[name], "rows/s", more_is_better=True),
            Verdict("SQLAlchemy's insert of many values", reference, unit="rows/s"),
            Verdict(
                "upload beside that insert",
                median(one / other for one, other in zip(uploads, inserts, strict=True)),
                TIMES_INSERT,
                "times",
                more_is_better=True,
            ),
            Verdict(
                "upload with since a job of as many rows",
                median(compared),
                SINCE_RATE,
                "of the rate without",
                more_is_better=True,
            ),
            Verdict("the same by the CPU of the web processes", median(compared_cpu)),
            Verdict("growth of a web process", grown, GROWTH_MIB, "MiB"),
            Verdict("longest wait of another writer", writer[0], unit="s"),
            Verdict("longest wait of a poll", poller[0], unit="s"),
            Verdict("create_job alone, each URL twice", twice, unit="rows/s"),
        ],
    )


def write_catalogue(folder: Path, rows: int) -> Path:
    """Write a CSV with some products; return its path."""
    catalogue = folder / "products.csv"
    with catalogue.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        file.writelines(
            f"{number},Product number {number} in walnut,{URL.format(number)}\r\n"
            for number in range(rows)
        )
    return catalogue


def insert_many_values(rows: int) -> None:
    """Insert images as SQLAlchemy does it, in transactions of the size that a job's have here."""
    job, now = new_job(rows), utcnow()
    with writing() as session:
        session.execute(
            insert(JobRequest).values(
                request_id=job.request_id,
                status="CANCELLED",
                source_filename="",
                options={},
                base_url="",
                total_rows=0,
                total_images=0,
                created_at=now,
                updated_at=now,
            )
        )
    common = {"request_id": job.request_id, "created_at": now, "status": "PENDING"}
    values = (
        {"image_id": uuid4(), "ordinal": ordinal, **common, **image._asdict()}
        for ordinal, image in enumerate(images(rows, rows))
    )
    at_once = rows if db.engine.dialect.name == "postgresql" else PART_ROWS
    for _ in range(0, rows, at_once):
        with writing() as session:
            for _ in range(0, at_once, PART_ROWS):
                session.execute(insert(CompressedImage), list(islice(values, PART_ROWS)))


def images(rows: int, urls: int) -> Iterator[NewImage]:
    """Yield images, with some different URLs."""
    for number in range(rows):
        yield NewImage(
            number + 2,
            0,
            str(number),
            f"Product number {number} in walnut",
            URL.format(number % urls),
        )


def new_job(rows: int) -> NewJob:
    """Return a job with some rows."""
    return NewJob(uuid4(), "products.csv", {}, "http://service.test", rows, rows)


@contextmanager
def web_server(url: str, folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Run gunicorn as in production; yield its address and the ids of its worker processes."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    # Nothing listens at the broker, so that no queue grows; publishing fails at once.
    environment = os.environ | {
        "DATABASE_URL": url.replace("+psycopg2", ""),
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "wsgi:app"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(children(server.pid)) == WEB_PROCESSES and answers(address), 60)
        yield address, children(server.pid)
    finally:
        server.terminate()
        server.wait(30)


def answers(address: str) -> bool:
    """Return whether the web server answers."""
    try:
        return requests.get(f"{address}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


def warm_up(address: str, processes: list[int]) -> None:
    """Upload small files, so that each web process has loaded all that it needs."""
    for _ in range(8 * len(processes)):
        one = f"{HEADER}1,a,{URL.format(0)}\r\n"
        requests.post(
            f"{address}/upload", files={"file": ("one.csv", one)}, timeout=60
        ).raise_for_status()


def upload(address: str, catalogue: Path, **fields: str) -> str:
    """Upload the CSV by curl, which streams it; return the id of the job."""
    forms = [f"file=@{catalogue}", *(f"{name}={value}" for name, value in fields.items())]
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", *(part for form in forms for part in ("-F", form))]
        + [f"{address}/upload"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return str(json.loads(done.stdout)["request_id"])


def write() -> None:
    """Take and give back the ledger's write lock."""
    with writing() as session:
        session.execute(delete(JobRequest).where(JobRequest.request_id == uuid4()))


def poll(address: str) -> None:
    """Ask for the newest job."""
    requests.get(f"{address}/job?per_page=1", timeout=60).raise_for_status()


@contextmanager
def longest(act: Callable[[], None]) -> Iterator[list[float]]:
    """Do something over and over meanwhile; the list holds the longest time that it took."""
    ended, most = Event(), [0.0]
    context = current_app.app_context()

    def repeat() -> None:
        with context:
            while not ended.wait(0.02):
                most[0] = max(most[0], seconds(act))

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def seconds(act: Callable[[], None]) -> float:
    """Return how long a function takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
