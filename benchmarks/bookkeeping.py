"""Measure which part of an image's CPU time goes to the queue, the ledger and the lease.

    python -m benchmarks.bookkeeping [--images N] [--rounds N]

A job of catalogue photos at a fixed quality, by the real service with its default settings. Within
the pool processes, the CPU time of their main threads is split by `peers/timed`: what hands images
from thread to thread is the pipeline's, all else is bookkeeping. The other processes have their own
lines. Statements are counted as SQLAlchemy sends them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from .peers import whole
from .peers.measured import cpu_of_tree
from .peers.origin import Origin, serving
from .peers.photos import CATALOGUE, photos_of
from .verdicts import Verdict, children, cpu_seconds, print_verdicts
from tests.support.service import ROOT, Service

TIMED = Path(__file__).parent / "peers" / "timed"
WARM_UP = 300
# By a word of the command of a child of `flask serve`.
PARTS = {
    "valkey-server": "broker",
    "worker@": "main process of the workers",
    "deliveries@": "delivery worker, with recovery",
    "beat": "beat",
}
POOL = "main threads of the pool"

Sums = dict[str, float]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="What the bookkeeping takes")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    photos = next(photos for photos in photos_of(None) if photos.kind is CATALOGUE)
    with tempfile.TemporaryDirectory() as folder, serving(photos.files) as origin:
        rounds = _measured(Path(folder), origin, options.images, options.rounds)
    print(
        f"{os.cpu_count()} cores, {options.images} of {photos.described()}, quality 50,"
        f" the median of {options.rounds} jobs"
    )
    print_verdicts("CPU time", _verdicts(rounds, options.images))


def _measured(folder: Path, origin: Origin, images: int, rounds: int) -> list[Sums]:
    times = folder / "times"
    times.mkdir()
    with Service(
        folder / "var", PYTHONPATH=f"{TIMED}:{ROOT}", TIMES_DIR=str(times), RECOVERY_INTERVAL="5"
    ) as service:
        whole.job(service, origin.urls(WARM_UP), quality="50")
        return [_job(service, times, origin.urls(images)) for _ in range(rounds)]


def _job(service: Service, times: Path, urls: list[str]) -> Sums:
    """Run a job; return the seconds of all parts and of all processes, and the statements."""
    before = _sums(service, times)
    whole.job(service, urls, quality="50")
    after = _sums(service, times)
    return {part: figure - before[part] for part, figure in after.items()}


def _sums(service: Service, times: Path) -> Sums:
    assert service.process is not None
    sums: defaultdict[str, float] = defaultdict(float, all=cpu_of_tree(service.process.pid))
    for child in children(service.process.pid):
        command = Path(f"/proc/{child}/cmdline").read_text()
        part = next((part for word, part in PARTS.items() if word in command), None)
        if part:
            sums[part] += cpu_seconds(child)
    for file in times.iterdir():
        written = json.loads(file.read_text())
        sums[POOL] += written["bookkeeping"]
        sums["statements"] += written["statements"]
    return sums


def _verdicts(rounds: list[Sums], images: int) -> list[Verdict]:
    def milliseconds(part: str) -> float:
        return median(sums[part] for sums in rounds) / images * 1000

    parts = (POOL, *PARTS.values())
    share = median(sum(sums[part] for part in parts) / sums["all"] for sums in rounds)
    return [
        *(Verdict(part, milliseconds(part), unit="ms per image") for part in parts),
        Verdict("all processes", milliseconds("all"), unit="ms per image"),
        Verdict("queue, ledger and lease, of all", 100 * share, 5, "%"),
        Verdict("statements", milliseconds("statements") / 1000, 1.5, "per image"),
    ]


if __name__ == "__main__":
    main()
