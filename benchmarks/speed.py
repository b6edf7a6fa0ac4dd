"""Measure the whole service beside the bare codec, img2dataset and the naive loop, in one run.

    python -m benchmarks.speed [--photos FOLDER] [--images N] [--quality Q] [--latency MS]
                               [--rounds N] [--only catalogue|camera|phone]

Without a folder, photos of three kinds are made of the samples: of a catalogue, a camera, and a phone. The
service compresses them at a fixed quality and in its default mode, which halves each file; those of
the catalogue also from an origin that answers late. The contestants take turns in every round. See
benchmarks/README.md for what the numbers mean.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path

from .peers import bulk, whole
from .peers.loops import Loops
from .peers.measured import Disturbed, Measured
from .peers.origin import Origin, serving
from .peers.photos import CATALOGUE, KINDS, Photos, photos_of
from .peers.scoreboard import BARE, BULK, DISTANT, FIXED, HALVED, LOW, NAIVE, Scoreboard
from tests.support.service import Service

Contest = dict[str, Callable[[], Measured]]
WARM_UP = 100
# A run must last for some seconds; img2dataset's is the difference of two, the naive loop is slow.
BULK_TIMES, NAIVE_PART = 2, 4


def main() -> None:
    """Run the benchmark and print its tables."""
    options = _arguments()
    # However it is ended, the service has to end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    began = time.monotonic()
    board = Scoreboard()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder, ExitStack() as stack:
        place = Path(folder)
        service = Service(place / "var", RECOVERY_INTERVAL="5")
        stack.callback(service.stop)
        service.start()
        contests = {
            photos: stack.enter_context(_contest(service, photos, options, board, place))
            for photos in photos_of(options.photos, options.only)
        }
        for number in range(options.rounds):
            for photos, contest in contests.items():
                _run(contest, board, photos.kind.name, number)
    _print_head(list(contests), options)
    board.print()
    print(f"\nIt took {time.monotonic() - began:.0f} s.")


def _run(contest: Contest, board: Scoreboard, photos: str, number: int) -> None:
    for who, run in contest.items():
        try:
            measured = run()
        except Disturbed as reason:
            board.missing[f"{photos}, {who}, round {number + 1}"] = str(reason)
            continue
        board.note(photos, who, number, measured)
        print(
            f"round {number + 1}: {photos}, {who}: {measured.rate:.0f} images/s",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def _contest(
    service: Service, photos: Photos, options: argparse.Namespace, board: Scoreboard, place: Path
) -> Iterator[Contest]:
    """Yield the contestants for these photos, warm and ready to run in turn.

    What they write to `place` stays until the end: ext4 looks at every file that was deleted in the
    last minutes before it makes a new one, which then takes up to 0.7 ms of CPU instead of 0.02.
    """
    with ExitStack() as stack:
        near = stack.enter_context(serving(photos.files))
        loops = Loops(photos.files)
        stack.callback(loops.close)
        images = round(options.images * photos.kind.share)
        contest = _contestants(service, near, loops, images, options.quality, place)
        if photos.kind is CATALOGUE and options.latency:
            distant = stack.enter_context(serving(photos.files, options.latency / 1000))
            urls, quality = distant.urls(images), str(options.quality)
            contest[DISTANT] = lambda: whole.job(service, urls, quality=quality)
        try:
            bulk.installed()
        except bulk.NotInstalled as reason:
            del contest[BULK]
            board.missing[BULK] = str(reason)
        whole.job(service, near.urls(WARM_UP))
        loops.bare(WARM_UP, options.quality)
        yield contest


def _contestants(
    service: Service, origin: Origin, loops: Loops, images: int, quality: int, place: Path
) -> Contest:
    urls = origin.urls(images * BULK_TIMES)
    return {
        BARE: lambda: loops.bare(images, quality),
        FIXED: lambda: whole.job(service, urls[:images], quality=str(quality)),
        LOW: lambda: whole.job(service, urls[:images], quality=str(quality), effort="low"),
        HALVED: lambda: whole.job(service, urls[:images]),
        BULK: lambda: bulk.steady(urls, quality, place),
        NAIVE: lambda: loops.naive(urls[: images // NAIVE_PART], quality, place),
    }


def _print_head(photos: list[Photos], options: argparse.Namespace) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("pillow", "simplejpeg", "celery"))
    print(
        f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions};"
        f" quality {options.quality}, distant origin {options.latency} ms,"
        f" {options.rounds} rounds."
    )
    for some in photos:
        print(f"* {some.described()}, {round(options.images * some.kind.share)} images in a run")
    print()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The whole service beside its peers")
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photos")
    parser.add_argument(
        "--images",
        type=int,
        default=2000,
        help="images in a run; of camera photos a third as many, of phone photos a 16th",
    )
    parser.add_argument("--quality", type=int, default=50, help="where it is fixed")
    parser.add_argument(
        "--latency",
        type=int,
        default=100,
        help="milliseconds that the distant origin takes to answer; 0: none",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[kind.name for kind in KINDS])
    return parser.parse_args()


if __name__ == "__main__":
    main()
