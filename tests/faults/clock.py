"""Clocks that are wrong: one that is put back or forward, and one machine's that lags.

libfaketime answers the processes that ask for the time; how long they wait it leaves alone.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from .brokers import redis_server
from .installation import Installation, installation
from .private import end, program
from .scenarios import flush_broker, kill_worker, watch
from .verdict import Verdict, Watched, through_one, watched_job
from tests.support.databases import fresh_database
from tests.support.receiver import Receiver
from tests.support.service import wait_until

LIBRARY = "/usr/lib/*/faketime"
HOURS = 3


class Clock:
    """The time that processes see: this machine's, and some seconds."""

    def __init__(self, file: Path, seconds: int = 0) -> None:
        self._file = file
        self.set(seconds)
        self.environment = {
            "LD_PRELOAD": program("libfaketimeMT.so.1", LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """Set the clock some seconds before or after this machine's, within a second or two."""
        # Nobody may read half of it.
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._file)


def put_back(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Start three hours ahead and correct the clock amid a job."""
    return _stepped(folder, images, seconds, HOURS * 3600, 0, settings)


def put_forward(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Start three hours behind and correct the clock amid a job."""
    return _stepped(folder, images, seconds, -HOURS * 3600, 0, settings)


def _stepped(
    folder: Path, images: int, seconds: float, first: int, then: int, settings: dict[str, str]
) -> Verdict:
    """Step the clock, and then need all that goes by it: leases, lost messages, retries."""
    clock = Clock(folder / "clock", first)

    def harm(job: Watched) -> None:
        clock.set(then)
        watch(job, 3)
        kill_worker(job)
        flush_broker(job)
        watch(job, seconds)

    with installation(
        "embedded", folder, WEBHOOK_RETRY_PAUSES=_pauses(seconds), **clock.environment, **settings
    ) as service:
        return through_one(service, images, seconds, harm, _failing_once())


def put_back_and_restarted(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Run three hours ahead, stop amid a job, and start with the right clock."""
    clock = Clock(folder / "clock", HOURS * 3600)

    def harm(job: Watched) -> None:
        process = job.service.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        process.wait(180)
        clock.set(0)
        job.service.start()
        kill_worker(job)
        flush_broker(job)
        watch(job, seconds)

    with installation(
        "embedded", folder, WEBHOOK_RETRY_PAUSES=_pauses(seconds), **clock.environment, **settings
    ) as service:
        return through_one(service, images, seconds, harm, _failing_once())


def _pauses(seconds: float) -> str:
    """Have the first event, which fails at first, be due again after the step of the clock."""
    return f"{2 * seconds:.0f},2,2,2"


def _failing_once() -> Receiver:
    receiver = Receiver()
    receiver.answers.append(503)
    return receiver


def worker_behind(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have a second machine work whose clock is a minute behind; `seconds` is the job's length."""
    return _skewed(folder, images, seconds, -60, settings)


def worker_ahead(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have a second machine work whose clock is a minute ahead; `seconds` is the job's length."""
    return _skewed(folder, images, seconds, 60, settings)


def _skewed(
    folder: Path, images: int, seconds: float, skew: int, settings: dict[str, str]
) -> Verdict:
    with ExitStack() as stack:
        prefix = f"test-{uuid4().hex[:8]}"
        service = stack.enter_context(
            installation(
                "embedded",
                folder,
                DATABASE_URL=stack.enter_context(fresh_database()),
                CELERY_BROKER_URL=stack.enter_context(redis_server()).url,
                QUEUE_PREFIX=prefix,
                **settings,
            )
        )
        stack.enter_context(_second_worker(service, Clock(folder / "clock", skew)))
        delay = seconds * 4 * int(service.environment.get("FETCH_CONCURRENCY", 16)) / images
        job = stack.enter_context(watched_job(service, images, delay=min(delay, 8.0)))
        return job.verdict(seconds + 240)


@contextmanager
def _second_worker(service: Installation, clock: Clock) -> Iterator[None]:
    """Run a worker with a clock of its own."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "wsgi:celery_app",
        "worker",
        "-n",
        "worker@behind",
        "-c",
        "2",
        "-Q",
        f"{service.environment['QUEUE_PREFIX']}.images",
    ]
    with service.log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=service.root,
            env=service.environment | clock.environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "worker@behind ready" in service.log, 60, lambda: service.log)
        yield
    finally:
        end(process)
