"""Measure the start: from the command to the first image done, and the import of the package.

    python -m benchmarks.start [--rounds N]

`flask serve` is what `make run` runs once all is installed. It starts in a folder that it knows
already, the catalogue goes up as soon as the web server answers, and the clock stops when the
status shows the first image. Processor time is that of all processes together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from .peers.measured import cpu_of_tree
from .peers.origin import serving
from .peers.photos import CATALOGUE, photos_of
from .verdicts import Verdict, print_verdicts
from tests.support.service import ROOT, Service

POLL_SECONDS = 0.02


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="From the start to the first image")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    photo = next(photos for photos in photos_of(None) if photos.kind is CATALOGUE).files[0]
    with tempfile.TemporaryDirectory() as folder, serving([photo]) as origin:
        (url,) = origin.urls(1)
        csv = f"S. No.,Product Name,Input Image Urls\r\n1,a,{url}\r\n".encode()
        start(Path(folder, "var"), csv)
        starts, imports = [], []
        for _ in range(options.rounds):
            starts.append(start(Path(folder, "var"), csv))
            imports.append(import_seconds())
    ready, first, cpu = (median(figures) for figures in zip(*starts, strict=True))
    print_verdicts(
        f"Start, the median of {options.rounds}",
        [
            Verdict("from `flask serve` to the first image done", first, 5, "s"),
            Verdict("to the answer of the web server", ready, unit="s"),
            Verdict("processor time until the first image, of all processes", cpu, unit="s"),
            Verdict("import of imgcompress, with the application made", median(imports), 1, "s"),
        ],
    )


def start(data_dir: Path, csv: bytes) -> tuple[float, float, float]:
    """Start the service; return the seconds to its first answer, to an image, and of all cores."""
    service = Service(data_dir)
    began = time.perf_counter()
    try:
        service.start()
        assert service.process is not None
        ready = time.perf_counter() - began
        job = service.submit(csv)
        while not service.status(job)["completed_images"]:
            time.sleep(POLL_SECONDS)
        return ready, time.perf_counter() - began, cpu_of_tree(service.process.pid)
    finally:
        service.stop()


def import_seconds() -> float:
    """Return how long a fresh interpreter takes to import the package and make the application."""
    timed = "from time import time; t = time(); from wsgi import app; print(time() - t)"
    return float(
        subprocess.run(
            [sys.executable, "-c", timed], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    )


if __name__ == "__main__":
    main()
