"""Jobs beside each other: how much longer one takes because of another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..origin import SilentOrigin
from .installation import Installation
from .verdict import Watched, catalogue_of, photo_origin, watched_job
from tests.support.receiver import Receiver
from tests.support.service import wait_until


class Company(NamedTuple):
    """How long a job took alone and in company, in seconds."""

    alone: float
    beside: float
    company_was_running: bool


def small_beside_large(service: Installation, large: int, small: int) -> Company:
    """Run a small job alone, and then while a large one has just begun."""
    alone = _seconds_of(service, small)
    with watched_job(service, large, delay=0.2) as other:
        other.wait_for(large // 20)
        beside = _seconds_of(service, small)
        return Company(alone, beside, _cancel(service, other.request_id))


def healthy_beside_hanging(service: Installation, healthy: int, hanging: int) -> Company:
    """Run a healthy job alone, and then while every origin of another job hangs."""
    alone = _seconds_of(service, healthy)
    with _hanging_job(service, hanging) as request_id:
        time.sleep(8)
        beside = _seconds_of(service, healthy)
        return Company(alone, beside, _cancel(service, request_id))


@contextmanager
def _hanging_job(service: Installation, images: int) -> Iterator[str]:
    with SilentOrigin() as origin:
        rows = [f"{n},SKU{n},{origin.url(f'/{n}.jpg')}" for n in range(images)]
        csv = "\n".join(["S. No.,Product Name,Input Image Urls", *rows, ""])
        yield service.submit(csv.encode())


def _seconds_of(service: Installation, images: int) -> float:
    with photo_origin(images) as origin, Receiver() as receiver:
        began = time.monotonic()
        request_id = service.submit(catalogue_of(origin, images))
        job = Watched(service, origin, receiver, request_id)
        wait_until(job.ended, 300, lambda: service.log)
        return round(time.monotonic() - began, 1)


def _cancel(service: Installation, request_id: str) -> bool:
    """Cancel a job; return whether it was still running."""
    running: bool = service.status(request_id)["status"] == "PROCESSING"
    service.cancel(request_id)
    return running
