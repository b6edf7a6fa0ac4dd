"""A job on two hosts, of which one is cut off in the midst."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..faults.verdict import Verdict, Watched, watched_job
from .cluster import HOSTS, Cluster
from tests.support.service import wait_until

STAYS, IS_CUT_OFF = HOSTS
# How long a host may take until it works again once its link is up.
BACK_SECONDS = 120


@dataclass(frozen=True)
class Ordeal:
    """How the job ended, and a second one after the host's return.

    `fetched` is how many images of the first job each host fetched; those that were in the hands
    of the host that was cut off were fetched again.
    """

    verdict: Verdict
    fetched: dict[str, int]
    again: Verdict
    fetched_again: dict[str, int]
    back_after: float


def cut_one_off(service: Cluster, images: int, *, delay: float, away: float = 0) -> Ordeal:
    """Cut a host off when a quarter of a job is done, until its end; then run one a fifth as large.

    Slices must be small enough for each job to have several. The host is away for `away` seconds at
    least.
    """
    with watched_job(service, images, delay=delay) as job:
        job.wait_for(images // 4)
        wait_until(lambda: all(_fetched(service, job).values()), 60, lambda: service.log)
        service.network.cut(IS_CUT_OFF)
        cut_off = time.monotonic()
        try:
            verdict, fetched = job.verdict(300), _fetched(service, job)
            time.sleep(max(0, cut_off + away - time.monotonic()))
        finally:
            service.network.restore(IS_CUT_OFF)
    began = time.monotonic()
    again, fetched_again = _work_of_both(service, images // 5, delay)
    return Ordeal(verdict, fetched, again, fetched_again, round(time.monotonic() - began, 1))


def _work_of_both(service: Cluster, images: int, delay: float) -> tuple[Verdict, dict[str, int]]:
    """Run jobs until both hosts work at one; return how the last ended."""
    end = time.monotonic() + BACK_SECONDS
    while True:
        with watched_job(service, images, delay=delay) as job:
            verdict, fetched = job.verdict(), _fetched(service, job)
        if all(fetched.values()) or not verdict.clean or time.monotonic() > end:
            return verdict, fetched


def _fetched(service: Cluster, job: Watched) -> dict[str, int]:
    """Return how many images each host has fetched."""
    return {
        host: job.origin.clients[address] for host, address in service.network.addresses.items()
    }
