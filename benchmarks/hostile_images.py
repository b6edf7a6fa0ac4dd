"""Compress images that were made to do harm: narrow ones, ones that lie, ones of endless frames.

    python -m benchmarks.hostile_images [--only TEXT]

Each trick of tests/support/tricks.py is compressed by the service's own call, with
its default limits, in a process of its own without the ceiling of MAX_PROCESS_MEMORY: so what is
measured is what the limits hold. Targets: less than 600 MiB at the highest, or 1,100 MiB where an
encoder needs more for any image of as many pixels, and COMPRESS_TIMEOUT of processor time, which
does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from imgcompress.config import load_settings
from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress

from .verdicts import resident
from tests.support.tricks import LONG, TRICKS

MOST_MIB = 600
# AVIF's encoder takes 17 bytes per pixel beside the picture, and WebP's 15 where there is alpha.
LARGEST_MIB = 1_100
LARGEST = ("AVIF of 7,000 x 7,000", "WebP of 16,383 x 3,050 with alpha")
# How many times COMPRESS_TIMEOUT a process may take on a machine that does much else.
SLOWEST = 20


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="Images that were made to do harm")
    parser.add_argument("--only", default="", help="only tricks with this text in their names")
    chosen = parser.parse_args().only
    timeout = load_settings(None).compress_timeout
    print("| image | bytes | peak, MiB | CPU s | outcome | |\n|---|--:|--:|--:|---|---|")
    for name, make in (TRICKS | LONG).items():
        if chosen in name:
            data = make()
            peak, seconds, outcome = measured(data, timeout)
            most = LARGEST_MIB if name in LARGEST else MOST_MIB
            good = peak < most and seconds < timeout
            print(
                f"| {name} | {len(data):,} | {peak:.0f} | {seconds:.1f} | {outcome}"
                f" | {'met' if good else '**not met**'} |",
                flush=True,
            )


def measured(data: bytes, timeout: float) -> tuple[float, float, str]:
    """Compress in a new process; return its peak in MiB, its CPU seconds, and the outcome."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--child"],
            input=data,
            capture_output=True,
            timeout=SLOWEST * timeout,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return 0, SLOWEST * timeout, "took too long"
    except subprocess.CalledProcessError as error:
        return 0, 0, f"the process ended by {error.returncode}: {error.stderr[-200:]!r}"
    peak, seconds, outcome = done.stdout.decode().split(" ", 2)
    return float(peak), float(seconds), outcome.strip()


def child() -> None:
    """Compress what comes by standard input, and print how it went."""
    data = sys.stdin.buffer.read()
    began = time.process_time()
    try:
        made = compress(data, CompressOptions())
        outcome = f"{made.outcome}, {made.format}"
    except ImageError as error:
        outcome = error.code + (f": {error.found}" if error.found else "")
    seconds = time.process_time() - began
    # What getrusage(2) calls the peak begins with that of the parent, which made the file.
    print(resident(os.getpid(), "VmHWM"), seconds, outcome)


if __name__ == "__main__":
    child() if "--child" in sys.argv else main()
