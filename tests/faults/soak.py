"""Mixed work for a while, with faults, and a look at the end for what belongs to nothing."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID

import requests

from ..origin import PlainOrigin
from .installation import Installation, installation
from .scenarios import flush_broker, kill_child, kill_worker
from .verdict import Watched, catalogue_of, photo_origin
from tests.support.receiver import Receiver
from tests.support.service import FINAL, wait_until

IMAGES = 60
# Of the images that the origin has, these answer badly.
MISSING, BROKEN, EMPTY = 7, 13, 21
JOBS_AT_ONCE = 6
END_SECONDS = 300
FILES = "SELECT storage_key FROM compressed_images WHERE storage_key IS NOT NULL"
DRIFT = """
SELECT count(*) FROM job_request AS job WHERE job.total_images <>
  (SELECT count(*) FROM compressed_images AS image WHERE image.request_id = job.request_id)
OR job.completed_images <>
  (SELECT count(*) FROM compressed_images AS image WHERE image.request_id = job.request_id
   AND image.status = 'COMPLETED')"""


@dataclass
class Soak:
    """What was done and what was found at the end."""

    seconds: float
    done: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    stuck: int = 0
    drift: int = 0
    # Jobs whose last event did not arrive, or with two ids.
    webhooks: int = 0
    files_without_rows: int = 0
    rows_without_files: int = 0

    @property
    def clean(self) -> bool:
        """Return whether every promise was kept."""
        found = (
            self.stuck,
            self.drift,
            self.webhooks,
            self.files_without_rows,
            self.rows_without_files,
        )
        return not any(found) and not any(status >= 500 for status in self.answers)


def soak(folder: Path, minutes: float, **settings: str) -> Soak:
    """Upload, retry, cancel, delete and read for some minutes while processes are killed."""
    began = time.monotonic()
    with (
        installation("embedded", folder, **settings) as service,
        photo_origin(IMAGES, delay=0.2) as origin,
        Receiver() as receiver,
    ):
        origin.files[f"/{MISSING}.jpg"] = (404, "text/plain", b"")
        origin.files[f"/{BROKEN}.jpg"] = (200, "image/jpeg", b"\xff\xd8\xff\xe0" + b"." * 1000)
        origin.files[f"/{EMPTY}.jpg"] = (200, "image/jpeg", b"")
        found, kept = _work(service, origin, receiver, began + 60 * minutes)
        _look(service, receiver, found, kept)
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _work(
    service: Installation, origin: PlainOrigin, receiver: Receiver, end: float
) -> tuple[Soak, set[str]]:
    """Do this and that until the end; return what was done, and the jobs that were not deleted."""
    found, jobs = Soak(0), set[str]()
    harms = _harms(Watched(service, origin, receiver, ""))
    next_harm = time.monotonic() + 10
    while time.monotonic() < end:
        if time.monotonic() > next_harm:
            name, harm = next(harms)
            harm()
            found.done[name] += 1
            next_harm = time.monotonic() + 20
        active = [
            job
            for job in jobs
            if service.of_job("SELECT status FROM job_request WHERE request_id = :id", job)[
                0
            ].status
            not in FINAL
        ]
        action = random.choices(
            ("upload", "cancel", "delete", "retry", "read"),
            (4 if len(active) < JOBS_AT_ONCE else 0, 1, 1, 1, 4),
        )[0]
        if action == "upload":
            answer = service.upload(
                catalogue_of(origin, random.randrange(1, IMAGES)), webhook_url=receiver.url
            )
            if answer.status_code == 202:
                jobs.add(answer.json()["request_id"])
        elif not jobs:
            continue
        else:
            answer = _act(service, action, random.choice(sorted(jobs)), jobs)
        found.done[action] += 1
        found.answers[answer.status_code] += 1
        time.sleep(0.2)
    return found, jobs


def _act(service: Installation, action: str, job: str, jobs: set[str]) -> requests.Response:
    if action == "read":
        path = random.choice(("status", "details", "download", "archive", "failures"))
        return service.get(f"/job/{path}/{job}")
    if action == "delete":
        answer = requests.delete(f"{service.url}/job/{job}", timeout=30)
        if answer.ok:
            jobs.discard(job)
        return answer
    return requests.post(f"{service.url}/job/{action}/{job}", timeout=30)


def _harms(job: Watched) -> Iterator[tuple[str, Callable[[], object]]]:
    while True:
        for harm in (kill_child, kill_worker, flush_broker):
            yield harm.__name__, partial(harm, job)


def _look(service: Installation, receiver: Receiver, found: Soak, jobs: set[str]) -> None:
    """Wait until nothing goes on any more, and count what is not as it should be."""
    undone = "SELECT count(*) FROM job_request WHERE status IN ('PENDING', 'PROCESSING')"
    outbox = "SELECT count(*) FROM webhook_delivery WHERE state = 'PENDING'"
    hidden = "SELECT count(*) FROM job_deletion WHERE NOT erased"
    with suppress(AssertionError):
        wait_until(
            lambda: not any(service.query(query)[0][0] for query in (undone, outbox, hidden)),
            END_SECONDS,
        )
    # A worker may hold an image of a job that was cancelled a moment ago.
    time.sleep(10)
    found.stuck = sum(service.query(query)[0][0] for query in (undone, outbox, hidden))
    found.drift = service.query(DRIFT)[0][0]
    for job in jobs:
        epochs = service.of_job("SELECT epoch FROM job_request WHERE request_id = :id", job)
        finals = [arrival for arrival in receiver.of(job) if arrival.event["status"] in FINAL]
        # Each epoch has one end, whose event may come twice under one id.
        found.webhooks += len({arrival.id for arrival in finals}) != epochs[0].epoch
    storage = service.data_dir / "storage"
    files = {path.relative_to(storage).as_posix() for path in storage.rglob("*") if path.is_file()}
    rows = {row.storage_key for row in service.query(FILES)}
    rows |= {
        f"csv/{UUID(str(row.request_id))}/input.csv"
        for row in service.query("SELECT request_id FROM job_request")
    }
    found.files_without_rows = len(files - rows)
    found.rows_without_files = len(rows - files)
