"""Run a job through a fault, and return how it ended."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from PIL import Image

from ..origin import PlainOrigin
from .installation import Installation
from tests.support.receiver import Receiver
from tests.support.service import FINAL, wait_until

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
UNDELIVERED = """
SELECT count(*) FROM webhook_delivery WHERE request_id = :id AND state <> 'DELIVERED'"""
UNDONE = "SELECT count(*) FROM job_slice WHERE request_id = :id AND state <> 'DONE'"
EVENTS = """
SELECT event, count(*) AS times FROM webhook_delivery WHERE request_id = :id GROUP BY event"""

# An upload that takes longer hangs.
SOON_SECONDS = 10
# An origin that takes longer comes too near to the limit of a download.
MOST_DELAY = 8.0


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
    # What else was promised and not kept, in words.
    broken: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Return whether every promise was kept; two ids are those of the two status changes."""
        return (
            (self.lost, self.doubled, self.drift, self.stuck) == (0, 0, 0, 0)
            and self.webhook_ids == 2
            and not self.broken
        )


def photo() -> bytes:
    """Return a JPEG of some 20 KB."""
    file = io.BytesIO()
    noise = Image.effect_noise((320, 240), 60).convert("RGB")
    noise.resize((160, 120)).resize((320, 240)).save(file, "JPEG", quality=92)
    return file.getvalue()


@contextmanager
def photo_origin(
    images: int, *, delay: float = 0.0, address: str = "127.0.0.1"
) -> Iterator[PlainOrigin]:
    """Yield an origin of this many images."""
    answer = (200, "image/jpeg", photo())
    files = {f"/{n}.jpg": answer for n in range(images)}
    with PlainOrigin(files, delay=delay, distinct=True, address=address) as origin:
        yield origin


def catalogue_of(origin: PlainOrigin, images: int) -> bytes:
    """Return a CSV with a row for each of the origin's images."""
    rows = [f"{n},SKU{n},{origin.url(f'/{n}.jpg')}" for n in range(images)]
    return "\n".join(["S. No.,Product Name,Input Image Urls", *rows, ""]).encode()


class Watched:
    """A job under way, whose progress is watched."""

    def __init__(
        self, service: Installation, origin: PlainOrigin, receiver: Receiver, request_id: str
    ) -> None:
        self.service, self.origin, self.receiver = service, origin, receiver
        self.request_id = request_id
        self.standstill = 0.0
        # Jobs that were uploaded meanwhile, and promises that were broken.
        self.others: list[str] = []
        self.broken: list[str] = []
        self._began = self._moved = time.monotonic()
        self._done = 0

    def done(self) -> int:
        """Return how many images are done, by the ledger, and note whether that is new."""
        (row,) = self.service.of_job(JOB, self.request_id)
        now, done = time.monotonic(), row.completed + row.failed
        if done != self._done or row.status in FINAL:
            self._done, self._moved = done, now
        self.standstill = max(self.standstill, now - self._moved)
        return int(done)

    def ended(self) -> bool:
        """Return whether the job has ended."""
        self.done()
        return self.service.of_job(JOB, self.request_id)[0].status in FINAL

    def wait_for(self, done: int, seconds: float = 120) -> None:
        """Wait until this many images are done."""
        wait_until(lambda: self.done() >= done, seconds, lambda: self.service.log)

    def expect(self, kept: bool, promise: str) -> None:
        """Note that a promise was broken, unless it was kept."""
        if not kept and promise not in self.broken:
            self.broken.append(promise)

    def upload_meanwhile(self, status: int, code: str = "") -> None:
        """Upload another job, which is to be answered soon, with this status and error code."""
        promise = f"an upload is answered {status} {code}".strip()
        began = time.monotonic()
        try:
            answer = self.service.upload(catalogue_of(self.origin, 1))
        except requests.RequestException as error:
            self.expect(False, f"{promise} (found {type(error).__name__})")
            return
        found = f"{answer.status_code} {answer.json().get('code', '')}".strip()
        self.expect(
            (answer.status_code, answer.json().get("code", "")) == (status, code),
            f"{promise} (found {found})",
        )
        took = time.monotonic() - began
        self.expect(took < SOON_SECONDS, f"{promise} soon (found {took:.0f} s)")
        if answer.status_code == 202:
            self.others.append(answer.json()["request_id"])

    def expect_readiness(self, check: str) -> None:
        """Expect /readyz to say soon that something it needs does not work."""
        found, end = self._readiness(check), time.monotonic() + SOON_SECONDS
        while found == "ok" and time.monotonic() < end:
            time.sleep(0.5)
            found = self._readiness(check)
        self.expect(found != "ok", f"/readyz does not call the {check} ok")

    def _readiness(self, check: str) -> str:
        try:
            found: str = self.service.get("/readyz").json()["checks"][check]
        except requests.RequestException as error:
            return type(error).__name__
        return found

    def verdict(self, seconds: float = 120) -> Verdict:
        """Wait for the end of the job and of its webhooks; return how it ended."""
        stuck = 0
        try:
            wait_until(self.ended, seconds)
            wait_until(lambda: not self._slices_undone(), 15)
            wait_until(
                lambda: len({a.id for a in self._arrivals()}) >= 2 and not self._undelivered(), 60
            )
        except AssertionError:
            stuck = 1
        took = time.monotonic() - self._began
        for other in self.others:
            self.expect(self._completes(other), "what is uploaded meanwhile is done within 60 s")
        (tally,) = self.service.of_job(TALLY, self.request_id)
        (job,) = self.service.of_job(JOB, self.request_id)
        drift = sum(
            abs(getattr(tally, name) - getattr(job, name))
            for name in ("completed", "failed", "output_bytes")
        )
        events = self.service.of_job(EVENTS, self.request_id)
        assert all(event.times == 1 for event in events), events
        return Verdict(
            images=tally.images,
            lost=tally.images - int(tally.completed or 0),
            doubled=int(tally.doubled or 0),
            drift=int(drift),
            stuck=stuck,
            webhook_ids=len({arrival.id for arrival in self._arrivals()}),
            fetches_per_image=round(sum(self.origin.hits.values()) / tally.images, 3),
            standstill=round(self.standstill, 1),
            seconds=round(took, 1),
            broken=tuple(self.broken),
        )

    def _completes(self, request_id: str) -> bool:
        try:
            return self.service.finished(request_id, 60)["status"] == "COMPLETED"
        except AssertionError:
            return False

    def _undelivered(self) -> int:
        return int(self.service.of_job(UNDELIVERED, self.request_id)[0][0])

    def _slices_undone(self) -> int:
        return int(self.service.of_job(UNDONE, self.request_id)[0][0])

    def _arrivals(self) -> list[Any]:
        return self.receiver.of(self.request_id)


@contextmanager
def watched_job(
    service: Installation,
    images: int,
    *,
    delay: float = 0.0,
    receiver: Receiver | None = None,
    changed: Mapping[int, bytes] | None = None,
) -> Iterator[Watched]:
    """Upload a job of plain photos, some of which may be `changed`, and yield it."""
    with (
        photo_origin(images, delay=delay, address=service.origin_address) as origin,
        receiver or Receiver() as receiver,
    ):
        origin.files |= {
            f"/{place}.jpg": (200, "image/jpeg", body) for place, body in (changed or {}).items()
        }
        request_id = service.submit(catalogue_of(origin, images), webhook_url=receiver.url)
        yield Watched(service, origin, receiver, request_id)


def through(
    service: Installation,
    images: int,
    rounds: int,
    harm: Callable[[Watched], object],
    *,
    delay: float = 0.0,
    seconds: float = 120,
    receiver: Receiver | None = None,
) -> Verdict:
    """Harm a job `rounds` times, evenly spread over its first nine tenths."""
    with watched_job(service, images, delay=delay, receiver=receiver) as job:
        for number in range(rounds):
            job.wait_for(images * 9 * (number + 1) // (10 * (rounds + 1)), seconds)
            harm(job)
        return job.verdict(seconds)


def through_one(
    service: Installation,
    images: int,
    seconds: float,
    harm: Callable[[Watched], object],
    receiver: Receiver | None = None,
) -> Verdict:
    """Harm a job once, of which half is done then; it would last for as long as the harm does."""
    at_once = 2 * int(service.environment.get("FETCH_CONCURRENCY", 16))
    delay = min(2 * seconds * at_once / images, MOST_DELAY)
    return through(service, images, 1, harm, delay=delay, seconds=seconds + 240, receiver=receiver)
