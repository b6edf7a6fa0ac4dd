"""The bare loop that only decodes and encodes, and the loop that everybody writes first."""

from __future__ import annotations

import io
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.pool import Pool
from pathlib import Path

import requests
from PIL import Image

from imgcompress.worker.process import tune_malloc

from .measured import Measured

PROCESSES = 2
# When a run of the bare loop began and ended by the clock, and its CPU seconds.
Span = tuple[float, float, float]


class Loops:
    """Processes that stand by, so that no run has their start-up in it."""

    def __init__(self, photos: Sequence[bytes]) -> None:
        self._pool: Pool = multiprocessing.get_context("spawn").Pool(
            PROCESSES, initializer=_keep, initargs=(photos,)
        )

    def close(self) -> None:
        """End the processes."""
        self._pool.terminate()
        self._pool.join()

    def bare(self, images: int, quality: int) -> Measured:
        """Decode and encode photos from memory by Pillow, in two processes; the codec's limit."""
        each = images // PROCESSES
        spans = self._pool.starmap(_recode, [(each, quality)] * PROCESSES, chunksize=1)
        began, ended, spent = zip(*spans)
        return Measured(each * PROCESSES, max(ended) - min(began), sum(spent))

    def naive(self, urls: list[str], quality: int, place: Path) -> Measured:
        """Fetch by requests.get, recode by Pillow and save, one photo after the other."""
        began, ended, spent = self._pool.apply(_fetch_and_recode, (urls, quality, place))
        return Measured(len(urls), ended - began, spent)


_photos: Sequence[bytes] = ()


def _keep(photos: Sequence[bytes]) -> None:
    """Keep the photos, and memory between them as the service's workers do."""
    global _photos
    _photos = photos
    tune_malloc()


def _recode(images: int, quality: int) -> Span:
    began, spent = time.monotonic(), time.process_time()
    for number in range(images):
        with Image.open(io.BytesIO(_photos[number % len(_photos)])) as image:
            image.save(io.BytesIO(), "JPEG", quality=quality)
    return began, time.monotonic(), time.process_time() - spent


def _fetch_and_recode(urls: list[str], quality: int, place: Path) -> Span:
    folder = Path(tempfile.mkdtemp(dir=place))
    began, spent = time.monotonic(), time.process_time()
    for number, url in enumerate(urls):
        answer = requests.get(url, timeout=30)
        answer.raise_for_status()
        with Image.open(io.BytesIO(answer.content)) as image:
            image.save(folder / f"{number}.jpg", quality=quality)
    return began, time.monotonic(), time.process_time() - spent
