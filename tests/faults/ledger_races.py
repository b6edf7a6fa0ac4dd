"""Many processes at one ledger: two that finish a job together, and eight that only write."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

from flask import Flask

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.errors import LedgerUnavailable
from imgcompress.extensions import db
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.queries import find_job
from imgcompress.ledger.results import Success, record_results
from imgcompress.ledger.slices import Claim, claim_slice, pending_images

from tests.support.new_images import NewImage, by_columns

START = multiprocessing.get_context("spawn")


class Race(NamedTuple):
    """How jobs ended whose two last slices finished together."""

    rounds: int
    stuck: int
    closed_once: int
    one_event: int


def ledger_app(url: str, folder: Path) -> Flask:
    """Return an application on this ledger."""
    return create_worker_app(load_settings(None, database_url=url, data_dir=folder))


def new_job(images: int, slice_size: int) -> UUID:
    """Create a job and return its id."""
    job = NewJob(
        uuid4(),
        "products.csv",
        {},
        "http://service.test",
        total_rows=images,
        total_images=images,
        webhook_url="https://hooks.test/",
    )
    urls = (f"https://images.test/{number}.jpg" for number in range(images))
    create_job(
        job,
        by_columns(NewImage(2, place, "", "", url) for place, url in enumerate(urls)),
        slice_size=slice_size,
    )
    return job.request_id


def finish_slice(request_id: UUID, slice_no: int, together: Barrier | None = None) -> bool:
    """Claim a slice and record all of its images; return whether that closed the job."""
    claim = claim_slice(request_id, slice_no, lease_seconds=60)
    assert claim is not None
    results = [_success(claim, image) for image in pending_images(claim)]
    if together is not None:
        together.wait(30)
    return record_results(claim, results, lease_seconds=60)


def _success(_claim: Claim, image: object) -> Success:
    return Success(
        image,
        "target_met",
        1000,
        400,
        20,
        10,
        "jpeg",
        "jpg",
        60,
        0.98,  # type: ignore
        "images/x.jpg",
    )


def race_of_last_slices(url: str, folder: Path, rounds: int) -> Race:
    """Let two processes finish the two slices of a job at once, `rounds` times."""
    together = START.Barrier(2)
    app = ledger_app(url, folder)
    with app.app_context():
        jobs = [new_job(2, 1) for _ in range(rounds)]
        closings: Counter[UUID] = Counter()
        queue = START.Queue()
        racers = [
            START.Process(target=_race, args=(url, folder, jobs, place, together, queue))
            for place in (0, 1)
        ]
        for racer in racers:
            racer.start()
        for _ in range(2 * rounds):
            request_id, closed = queue.get(timeout=120)
            closings[request_id] += closed
        for racer in racers:
            racer.join(30)
        ended = [find_job(request_id) for request_id in jobs]
        events = _completed_events(jobs)
        db.engine.dispose()
    return Race(
        rounds,
        sum(job is None or job.status != "COMPLETED" for job in ended),
        sum(closings[job] == 1 for job in jobs),
        sum(events[job] == 1 for job in jobs),
    )


def _race(
    url: str,
    folder: Path,
    jobs: list[UUID],
    slice_no: int,
    together: Barrier,
    queue: multiprocessing.Queue[tuple[UUID, bool]],
) -> None:
    with ledger_app(url, folder).app_context():
        for request_id in jobs:
            queue.put((request_id, finish_slice(request_id, slice_no, together)))


def _completed_events(jobs: list[UUID]) -> Counter[UUID]:
    from sqlalchemy import select

    from imgcompress.ledger.models import WebhookDelivery
    from imgcompress.ledger.session import reading

    with reading() as session:
        return Counter(
            session.scalars(
                select(WebhookDelivery.request_id).where(
                    WebhookDelivery.event == "job.completed", WebhookDelivery.request_id.in_(jobs)
                )
            )
        )


class Pressure(NamedTuple):
    """What writers and readers met who shared a ledger."""

    writes: int
    reads: int
    rejected: int
    slowest_read: float


def write_from_many(url: str, folder: Path, *, processes: int, seconds: float) -> Pressure:
    """Let processes create and finish jobs without a pause, with status polls beside them."""
    queue = START.Queue()
    writers = [
        START.Process(target=_write, args=(url, folder, seconds, queue)) for _ in range(processes)
    ]
    for writer in writers:
        writer.start()
    with ThreadPoolExecutor(1) as pool:
        polls = pool.submit(_poll, url, folder, seconds)
        done = [queue.get(timeout=seconds + 120) for _ in writers]
        reads, read_refused, slowest = polls.result()
    for writer in writers:
        writer.join(30)
    return Pressure(
        sum(writes for writes, _ in done),
        reads,
        read_refused + sum(rejected for _, rejected in done),
        round(slowest, 3),
    )


def _write(
    url: str, folder: Path, seconds: float, queue: multiprocessing.Queue[tuple[int, int]]
) -> None:
    writes = rejected = 0
    with ledger_app(url, folder).app_context():
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                request_id = new_job(100, 25)
                writes += 1
                for slice_no in range(4):
                    finish_slice(request_id, slice_no)
                    writes += 2
            except LedgerUnavailable:
                rejected += 1
    queue.put((writes, rejected))


def _poll(url: str, folder: Path, seconds: float) -> tuple[int, int, float]:
    reads, rejected, slowest = 0, 0, 0.0
    with ledger_app(url, folder).app_context():
        request_id = new_job(1, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                find_job(request_id)
            except LedgerUnavailable:
                rejected += 1
            reads += 1
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.01)
    return reads, rejected, slowest
