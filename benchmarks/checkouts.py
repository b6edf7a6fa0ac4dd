"""Measure the service of this checkout beside that of another one, in turn within one run.

    python -m benchmarks.checkouts FOLDER [--images N] [--rounds N] [--latency MS]
                                   [--kind catalogue|camera|phone]

The other checkout needs a `.venv`, or a link to this one's, and its JPEG engine (`make setup`). Each
round starts both services, each with a new data folder, and runs the same jobs on both; the one that
begins changes with each round. Ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from .peers import whole
from .peers.measured import Measured
from .peers.origin import serving
from .peers.photos import CATALOGUE, KINDS, photos_of
from tests.support.service import ROOT, Service

WARM_UP = 200
JOBS: dict[str, dict[str, str]] = {
    "fixed quality": {"quality": "50"},
    "50 %": {},
}
DISTANT = "fixed quality, distant origin"


def main() -> None:
    """Run the jobs on both checkouts and print the table."""
    parser = argparse.ArgumentParser(description="Two checkouts side by side")
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=int, default=100, help="of the distant origin, in ms")
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], default=CATALOGUE.name)
    options = parser.parse_args()
    (photos,) = photos_of(None, options.kind)
    images = round(options.images * photos.kind.share)
    results: dict[str, list[tuple[Measured, Measured]]] = {}
    with ExitStack() as stack:
        # Files stay until the end: see speed.py.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        near = stack.enter_context(serving(photos.files)).urls(images)
        far = stack.enter_context(serving(photos.files, options.latency / 1000)).urls(images)
        jobs = [(name, near, fields) for name, fields in JOBS.items()]
        if options.latency:
            jobs.append((DISTANT, far, {"quality": "50"}))
        for number in range(options.rounds):
            roots = [options.other.resolve(), ROOT]
            runs: dict[Path, list[Measured]] = {}
            for root in reversed(roots) if number % 2 else roots:
                with running(root, place / f"{number}-{roots.index(root)}") as service:
                    whole.job(service, near[:WARM_UP])
                    runs[root] = [whole.job(service, urls, **fields) for _, urls, fields in jobs]
            for (name, _, _), other, own in zip(jobs, *(runs[root] for root in roots), strict=True):
                results.setdefault(name, []).append((other, own))
                rates = f"{other.rate:.0f} and {own.rate:.0f} images/s"
                print(f"round {number + 1}: {name}: {rates}", file=sys.stderr, flush=True)
    print(f"{os.cpu_count()} cores, {images} of {photos.described()}, {options.rounds} rounds\n")
    print("| job | images/s | of the other's | CPU ms per image | of the other's |")
    print("|---|--:|--:|--:|--:|")
    for name, pairs in results.items():
        rate = median(own.rate for _, own in pairs)
        cpu = median(own.cpu_per_image for _, own in pairs)
        of_rate = median(own.rate / other.rate for other, own in pairs)
        of_cpu = median(own.cpu_per_image / other.cpu_per_image for other, own in pairs)
        print(f"| {name} | {rate:.0f} | {of_rate:.2f} | {cpu:.2f} | {of_cpu:.2f} |")


@contextmanager
def running(root: Path, folder: Path) -> Iterator[Service]:
    """Yield the service of a checkout, with its data in a folder; it ends with the block."""
    folder.mkdir()
    service = Service(folder / "var", RECOVERY_INTERVAL="5")
    service.root = root
    service.command[0] = str(root / ".venv/bin/python")
    if not (root / "imgcompress/__main__.py").exists():
        service.command[1:] = ["-m", "flask", "serve"]
    with service:
        yield service


if __name__ == "__main__":
    main()
