"""Measure the memory of the processes that compress, over a job of large photos.

    python -m benchmarks.memory [--images N] [--huge N] [--processes N]

The service runs with its defaults, first on photos of 6.6 megapixels and then on some of 50. The
highest resident size of any pool process is what counts, however often they are replaced. 2,000
photos of 50 megapixels take ten minutes on two cores, so fewer are taken unless asked for; the peak
comes within the first ones, since what is held does not grow with the job.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

from PIL import Image

from .peers.origin import serving
from .peers.photos import SAMPLES, mirrored
from .verdicts import Verdict, children, print_verdicts, resident
from tests.support.service import FINAL, Service

PHOTO, HUGE = (3150, 2100), (8660, 5773)
DIFFERENT = 3
TICK_SECONDS = 0.1


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="Memory of the processes that compress")
    parser.add_argument("--images", type=int, default=200, help="photos of 6.6 megapixels")
    parser.add_argument("--huge", type=int, default=16, help="photos of 50 megapixels")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    verdicts = []
    for size, count, most in ((PHOTO, options.images, 400), (HUGE, options.huge, 1000)):
        peak, seconds, early = measure(size, count, options.processes)
        megapixels = size[0] * size[1] / 1e6
        name = f"{count} photos of {megapixels:.1f} MP"
        verdicts += [
            Verdict(f"{name}: peak of a process", peak, most, "MB"),
            Verdict(f"{name}: peak when half were done", early, unit="MB"),
            Verdict(f"{name}: time", seconds, unit="s"),
        ]
    print_verdicts(f"{options.processes} processes", verdicts)


def measure(size: tuple[int, int], count: int, processes: int) -> tuple[float, float, float]:
    """Run a job; return the peak of a process in MB, the seconds, and the peak at half time."""
    photos = [photo(size, number) for number in range(DIFFERENT)]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(photos) as origin,
        Service(Path(folder, "var"), WORKER_PROCESSES=str(processes)) as service,
    ):
        rows = (f"{n},a,{url}" for n, url in enumerate(origin.urls(count)))
        began = time.perf_counter()
        job = service.submit("\r\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode())
        peak = early = 0.0
        while (status := service.status(job))["status"] not in FINAL:
            peak = max(peak, *map(peak_of, pool_processes(service)), 0.0)
            if status["completed_images"] <= count / 2:
                early = peak
            time.sleep(TICK_SECONDS)
        if status["completed_images"] < count:
            raise SystemExit(f"The job ended otherwise than it should: {status}")
        return peak, time.perf_counter() - began, early


def photo(size: tuple[int, int], number: int) -> bytes:
    """Return a JPEG of this size at quality 90, made of a sample and its mirror images."""
    sample = sorted(path for path in SAMPLES.iterdir() if path.suffix == ".jpg")[number]
    with Image.open(sample) as image:
        wide = mirrored(image.convert("RGB"), size).crop((0, 0, *size))
    file = io.BytesIO()
    wide.save(file, "JPEG", quality=90)
    return file.getvalue()


def pool_processes(service: Service) -> list[int]:
    """Return the processes that compress: the children of the image worker's main process."""
    assert service.process is not None
    mains = [
        child
        for child in children(service.process.pid)
        if b"worker@" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return [process for main in mains for process in children(main)]


def peak_of(process: int) -> float:
    """Return the highest resident size that a process has had, in MB; 0 when it has ended."""
    try:
        return resident(process, "VmHWM") * 2**20 / 1e6
    except (OSError, StopIteration):
        return 0.0


if __name__ == "__main__":
    main()
