"""Run a job through a fault, and tell what became of it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..functional.service import FINAL, wait_until
from ..origin import PlainOrigin
from ..receiver import Receiver
from .installation import Installation

TALLY = """
SELECT count(*) AS images,
       sum(CASE WHEN status = 'COMPLETED' THEN 1 ELSE 0 END) AS completed,
       sum(CASE WHEN status = 'FAILED' THEN 1 ELSE 0 END) AS failed,
       sum(CASE WHEN attempts > 1 THEN 1 ELSE 0 END) AS doubled,
       sum(CASE WHEN status = 'COMPLETED' THEN output_bytes ELSE 0 END) AS output_bytes
FROM compressed_images WHERE request_id = :id"""
JOB = """
SELECT status, completed_images AS completed, failed_images AS failed, output_bytes,
       completion_percentage AS percentage FROM job_request WHERE request_id = :id"""
UNDONE = "SELECT count(*) FROM job_slice WHERE request_id = :id AND state <> 'DONE'"
EVENTS = """
SELECT event, count(*) AS times FROM webhook_delivery WHERE request_id = :id GROUP BY event"""


@dataclass(frozen=True)
class Verdict:
    """What a fault did to one job."""

    images: int
    lost: int
    doubled: int
    drift: int
    stuck: int
    webhook_ids: int
    fetches_per_image: float
    standstill: float
    seconds: float

    @property
    def clean(self) -> bool:
        """Tell whether every promise was kept; two ids are those of the two status changes."""
        return (self.lost, self.doubled, self.drift, self.stuck) == (0, 0, 0, 0) \
            and self.webhook_ids == 2


def photo() -> bytes:
    """Return a JPEG of some 20 KB."""
    file = io.BytesIO()
    noise = Image.effect_noise((320, 240), 60).convert("RGB")
    noise.resize((160, 120)).resize((320, 240)).save(file, "JPEG", quality=92)
    return file.getvalue()


@contextmanager
def photo_origin(images: int, *, delay: float = 0.0,
                 address: str = "127.0.0.1") -> Iterator[PlainOrigin]:
    """Yield an origin of this many images."""
    answer = (200, "image/jpeg", photo())
    files = {f"/{n}.jpg": answer for n in range(images)}
    with PlainOrigin(files, delay=delay, address=address) as origin:
        yield origin


def catalogue_of(origin: PlainOrigin, images: int) -> bytes:
    """Return a CSV with a row for each of the origin's images."""
    rows = [f"{n},SKU{n},{origin.url(f'/{n}.jpg')}" for n in range(images)]
    return "\n".join(["S. No.,Product Name,Input Image Urls", *rows, ""]).encode()


class Watched:
    """A job under way, whose progress is watched."""

    def __init__(self, service: Installation, origin: PlainOrigin, receiver: Receiver,
                 request_id: str) -> None:
        self.service, self.origin, self.receiver = service, origin, receiver
        self.request_id = request_id
        self.standstill = 0.0
        self._began = self._moved = time.monotonic()
        self._done = 0

    def done(self) -> int:
        """Return how many images are done, by the ledger, and note whether that is new."""
        row, = self.service.of_job(JOB, self.request_id)
        now, done = time.monotonic(), row.completed + row.failed
        if done != self._done or row.status in FINAL:
            self._done, self._moved = done, now
        self.standstill = max(self.standstill, now - self._moved)
        return int(done)

    def ended(self) -> bool:
        """Tell whether the job has ended."""
        self.done()
        return self.service.of_job(JOB, self.request_id)[0].status in FINAL

    def wait_for(self, done: int, seconds: float = 120) -> None:
        """Wait until this many images are done."""
        wait_until(lambda: self.done() >= done, seconds, lambda: self.service.log)

    def verdict(self, seconds: float = 120) -> Verdict:
        """Wait for the end of the job and of its webhooks; tell what became of it."""
        stuck = 0
        try:
            wait_until(self.ended, seconds)
            wait_until(lambda: not self._slices_undone(), 15)
            wait_until(lambda: len({a.id for a in self._arrivals()}) >= 2, 60)
        except AssertionError:
            stuck = 1
        took = time.monotonic() - self._began
        tally, = self.service.of_job(TALLY, self.request_id)
        job, = self.service.of_job(JOB, self.request_id)
        drift = sum(abs(getattr(tally, name) - getattr(job, name))
                    for name in ("completed", "failed", "output_bytes"))
        events = self.service.of_job(EVENTS, self.request_id)
        assert all(event.times == 1 for event in events), events
        return Verdict(
            images=tally.images, lost=tally.images - int(tally.completed or 0),
            doubled=int(tally.doubled or 0), drift=int(drift), stuck=stuck,
            webhook_ids=len({arrival.id for arrival in self._arrivals()}),
            fetches_per_image=round(sum(self.origin.hits.values()) / tally.images, 3),
            standstill=round(self.standstill, 1), seconds=round(took, 1))

    def _slices_undone(self) -> int:
        return int(self.service.of_job(UNDONE, self.request_id)[0][0])

    def _arrivals(self) -> list[Any]:
        return self.receiver.of(self.request_id)


@contextmanager
def watched_job(service: Installation, images: int, *, delay: float = 0.0,
                receiver: Receiver | None = None) -> Iterator[Watched]:
    """Upload a job of plain photos, and yield it."""
    with photo_origin(images, delay=delay, address=service.origin_address) as origin, \
            receiver or Receiver() as receiver:
        request_id = service.submit(catalogue_of(origin, images), webhook_url=receiver.url)
        yield Watched(service, origin, receiver, request_id)


def through(service: Installation, images: int, rounds: int, harm: Callable[[Watched], None], *,
            delay: float = 0.0, seconds: float = 120) -> Verdict:
    """Harm a job `rounds` times, evenly spread over its first nine tenths."""
    with watched_job(service, images, delay=delay) as job:
        for number in range(rounds):
            job.wait_for(images * 9 * (number + 1) // (10 * (rounds + 1)), seconds)
            harm(job)
        return job.verdict(seconds)
