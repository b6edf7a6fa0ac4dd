"""The faults that the ledger survives, each as a function that harms a running job."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import requests

from .disk import fill
from .installation import Installation
from .verdict import Verdict, Watched, catalogue_of, photo_origin, through, watched_job
from tests.support.receiver import Receiver
from tests.support.service import wait_until

# What an image can do to the process that compresses it, and what it then fails with.
HARMS = {"KILL": "worker_crashed", "HANG": "compress_timeout", "MEMORY": "out_of_memory"}


def kill_worker(job: Watched) -> None:
    """Kill the main process of the worker; its supervisor starts another."""
    os.kill(job.service.worker(), signal.SIGKILL)


def kill_child(job: Watched) -> None:
    """Kill one of the worker's pool processes; the worker starts another."""
    _signal_child(job, signal.SIGKILL)


def _signal_child(job: Watched, number: signal.Signals) -> int:
    """Signal a pool process and return its id, as soon as there is one that lives."""
    reached: list[int] = []

    def reach_one() -> bool:
        # Those of a worker that was just killed die meanwhile.
        children = job.service.worker_children()
        for child in random.sample(children, len(children)):
            with suppress(ProcessLookupError):
                os.kill(child, number)
                reached.append(child)
                return True
        return False

    wait_until(reach_one, 60)
    return reached[0]


def flush_broker(job: Watched) -> None:
    """Lose every message."""
    job.service.broker.flush()


def kill_broker(job: Watched) -> None:
    """Kill the embedded broker; its supervisor starts another."""
    job.service.signal(signal.SIGKILL, "valkey-server")


def broker_away(job: Watched, seconds: float) -> None:
    """Take the broker away for a while; nothing that was in its memory comes back."""
    job.service.broker.go_away()
    watch(job, seconds)
    job.service.broker.come_back()


def database_away(job: Watched, seconds: float) -> None:
    """Cut the database off for a while; uploads answer 503 meanwhile."""
    assert job.service.database is not None
    job.service.database.cut()
    answer = job.service.upload(catalogue_of(job.origin, 1))
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger_unavailable"), answer.text
    watch(job, seconds)
    job.service.database.restore()


def disk_full(job: Watched, disk: Path, seconds: float) -> None:
    """Fill the disk that everything is on for a while; uploads answer 503 meanwhile."""
    filler = fill(disk)
    answer = job.service.upload(catalogue_of(job.origin, 3))
    assert answer.status_code == 503, answer.text
    watch(job, seconds)
    filler.unlink()


def pause_child(job: Watched, seconds: float) -> None:
    """Stop a pool process for longer than its lease, so that another takes its slice; go on."""
    child = _signal_child(job, signal.SIGSTOP)
    watch(job, seconds)
    os.kill(child, signal.SIGCONT)


def restart(job: Watched) -> float:
    """Stop the whole service by SIGTERM and start it again; return the seconds until the stop."""
    process = job.service.process
    assert process is not None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=180)
    took = time.monotonic() - began
    job.service.start()
    return took


@contextmanager
def each_message_thrice(service: Installation) -> Iterator[None]:
    """Publish every slice three times."""
    switch = service.fault_dir / "triple"
    switch.touch()
    try:
        yield
    finally:
        switch.unlink()


def triple_delivery(service: Installation, images: int, **how: float) -> Verdict:
    """Deliver every message three times, some of them at once."""
    with each_message_thrice(service):
        return through(service, images, 0, flush_broker, **how)


def killed_before_publishing(service: Installation, images: int) -> Verdict:
    """Kill the web server after it committed a job, while it waits for a broker that hangs."""
    known = service.jobs()
    with photo_origin(images) as origin, Receiver() as receiver, ThreadPoolExecutor(1) as pool:
        service.broker.go_away()
        try:
            upload = pool.submit(
                service.upload, catalogue_of(origin, images), webhook_url=receiver.url
            )
            wait_until(lambda: service.jobs() - known, 20, lambda: service.log)
            service.signal(signal.SIGKILL, "gunicorn")
        finally:
            service.broker.come_back()
        assert isinstance(upload.exception(30), requests.ConnectionError)
        wait_until(service.answers, 30, lambda: service.log)
        (request_id,) = service.jobs() - known
        return Watched(service, origin, receiver, request_id).verdict()


def delivery_worker_killed_while_sending(service: Installation, images: int) -> Verdict:
    """Kill the delivery worker while the receiver has the event and has not answered yet."""
    with watched_job(service, images, receiver=_DeadlyReceiver(service)) as job:
        return job.verdict()


def second_run(
    service: Installation,
    images: int,
    harm: Callable[[Watched, str], None],
    *,
    delay: float = 0.3,
) -> Verdict:
    """Harm the second run of a catalogue, which takes over the results of the first.

    `harm` is given the first job as well. One of its images failed, and can be retried.
    """
    with (
        photo_origin(images, address=service.origin_address) as origin,
        Receiver() as receiver,
    ):
        origin.headers |= {path: {"ETag": f'"{path}"'} for path in origin.files}
        photo = origin.files["/0.jpg"]
        origin.files["/0.jpg"] = (404, "text/plain", b"")
        first = service.submit(catalogue_of(origin, images))
        assert service.finished(first)["completed_images"] == images - 1
        origin.files["/0.jpg"], origin.delay = photo, delay
        origin.hits.clear()
        second = service.submit(catalogue_of(origin, images), since=first, webhook_url=receiver.url)
        job = Watched(service, origin, receiver, second)
        job.wait_for(images // 3)
        harm(job, first)
        verdict = job.verdict()
        dead = [
            image["output_url"]
            for image in service.details(second)
            if requests.get(image["output_url"], timeout=30).status_code != 200
        ]
        job.expect(not dead, f"every result has an address that works (found {len(dead)} dead)")
        return replace(verdict, broken=tuple(job.broken))


def delete_job(job: Watched, request_id: str) -> None:
    """Delete another job, and wait until it is gone."""
    answer = requests.delete(f"{job.service.url}/job/{request_id}", timeout=60)
    assert answer.status_code == 204, answer.text


def retry_job(job: Watched, request_id: str) -> None:
    """Retry another job."""
    answer = requests.post(f"{job.service.url}/job/retry/{request_id}", timeout=60)
    assert answer.status_code == 202, answer.text


def kill_all_workers(job: Watched, _first: str) -> None:
    """Kill a pool process, and then the main process of the worker."""
    kill_child(job)
    kill_worker(job)


# What happens to a job with `since`, or to the job that it takes its results from.
SECOND_RUNS: dict[str, Callable[[Watched, str], None]] = {
    "since-kill-worker": kill_all_workers,
    "since-flush": lambda job, _first: flush_broker(job),
    "since-deleted": delete_job,
    "since-retried": retry_job,
}


class Killers(NamedTuple):
    """How a job ended some of whose images kill or hold the process that compresses them."""

    completed: int
    failures: dict[str, int]
    same_worker: bool
    seconds: float


def killer_images(
    service: Installation, images: int, seconds: float, *, apart: int = 100
) -> Killers:
    """Run a job in which a harmful image, of each kind in turn, follows `apart` images."""
    harmful = dict(zip(range(apart, images, apart), cycle(HARMS), strict=False))
    worker, began = service.worker(), time.monotonic()
    with photo_origin(images) as origin:
        for place, harm in harmful.items():
            body = b"\xff\xd8\xff\xe0HARM:" + harm.encode()
            origin.files[f"/{place}.jpg"] = (200, "image/jpeg", body.ljust(1000, b"."))
        status = service.finished(service.submit(catalogue_of(origin, images)), seconds)
    return Killers(
        status["completed_images"],
        {error["code"]: error["count"] for error in status["errors"]},
        service.worker() == worker,
        round(time.monotonic() - began, 1),
    )


def uploads_while_broker_away(service: Installation, uploads: int) -> float:
    """Return the seconds that the slowest of some uploads takes while the broker is away."""
    with photo_origin(3) as origin:
        service.broker.go_away()
        slowest, jobs = 0.0, []
        for _ in range(uploads):
            began = time.monotonic()
            jobs.append(service.submit(catalogue_of(origin, 3)))
            slowest = max(slowest, time.monotonic() - began)
        service.broker.come_back()
        for job in jobs:
            assert service.finished(job)["status"] == "COMPLETED"
    return slowest


class _DeadlyReceiver(Receiver):
    """Kills the delivery worker that brings the first event."""

    def __init__(self, service: Installation) -> None:
        super().__init__()
        self._victims = [service]

    def next_answer(self) -> tuple[int, dict[str, str]]:
        if self._victims:
            self._victims.pop().signal(signal.SIGKILL, "deliveries@")
        return super().next_answer()


def watch(job: Watched, seconds: float) -> None:
    """Watch a job's progress for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job.done()
        time.sleep(0.1)
