"""Measure what hostile hosts cost the other images of a job, on the service with its defaults.

    python -m benchmarks.hostile [--images N] [--hostile N]

The same good images are processed twice, alone and together with images at twenty hosts that
misbehave, each in a way of its own. The table shows when the good ones and the job were done, and
how many requests and seconds of waiting the hostile hosts were worth.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.origin.crowd import HOSTILE, Crowd, crowd
from tests.support.photos import SAMPLES
from tests.support.service import FINAL, Service

HOSTS = len(HOSTILE) + 1


@dataclass(frozen=True)
class Measured:
    """How one job went; times in seconds from its upload."""

    name: str
    completed: int
    failed: int
    good_done: float
    job_done: float
    codes: Counter[str]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="What hostile hosts cost the other images")
    parser.add_argument("--images", type=int, default=500, help="in the job")
    parser.add_argument("--hostile", type=int, default=100, help=f"of these, at {HOSTS} hosts")
    options = parser.parse_args()
    good, of_each = options.images - options.hostile, options.hostile // HOSTS
    with service() as running, crowd(photo(), good=good, of_each=of_each) as origins:
        alone = Crowd(origins.good, origins.good_urls, {})
        show(
            [
                process(running, "the good images alone", alone),
                process(running, "with the hostile ones", origins),
            ]
        )


@contextmanager
def service() -> Iterator[Service]:
    """Run the service with its default limits, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "var") as running:
        yield running


def photo() -> bytes:
    """Return a photo of 640 x 427 pixels."""
    with Image.open(SAMPLES / "rocket.jpg") as image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90)
        return file.getvalue()


def process(running: Service, name: str, origins: Crowd) -> Measured:
    """Upload the catalogue and watch its job to the end."""
    began = time.monotonic()
    request_id = running.submit(origins.csv())
    good_done = 0.0
    while (status := running.status(request_id))["status"] not in FINAL:
        if not good_done and status["completed_images"] == len(origins.good_urls):
            good_done = time.monotonic() - began
        time.sleep(0.1)
    job_done = time.monotonic() - began
    codes = Counter({error["code"]: 0 for error in status["errors"]})
    for error in status["errors"]:
        codes[error["code"]] += error["count"]
    return Measured(
        name,
        status["completed_images"],
        status["failed_images"],
        good_done or job_done,
        job_done,
        codes,
    )


def show(jobs: list[Measured]) -> None:
    """Print the table, and why images failed."""
    print("| job | completed | failed | good images done, s | job done, s |")
    print("|---|---|---|---|---|")
    for job in jobs:
        print(
            f"| {job.name} | {job.completed} | {job.failed} | {job.good_done:.1f} |"
            f" {job.job_done:.1f} |"
        )
    for code, count in jobs[-1].codes.most_common():
        print(f"{count:5} {code}")


if __name__ == "__main__":
    main()
