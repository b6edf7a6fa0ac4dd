"""A catalogue whose images come from one good origin and from many that misbehave."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from .hostile import HostileOrigin, SilentOrigin
from .plain import PlainOrigin
from .server import OriginServer

# The ways to misbehave, each at a host of its own, and the codes that its images may fail with.
# `host_suspended` comes with the number of images, where a host is left alone.
HOSTILE = {
    "/drip-body": {"source_timeout"},
    "/drip-head": {"source_timeout"},
    "/silence": {"source_timeout"},
    "/silent-body": {"source_timeout"},
    "/endless": {"too_large"},
    "/endless-chunks": {"too_large"},
    "/length-too-large": {"source_broken"},
    "/broken-chunks": {"source_broken"},
    "/gzip-bomb": {"too_large"},
    "/five-encodings": {"bad_encoding"},
    "/text-as-image": {"not_an_image"},
    "/429/seconds": {"source_status"},
    "/redirect-loop": {"too_many_redirects"},
    "/huge-header": {"head_too_large"},
    "/reset": {"source_broken"},
    "/hang-up": {"source_broken"},
    "/http-0.9": {"source_broken"},
    "/status/204": {"source_status"},
    "/status/403": {"source_status"},
}
TLS_STALL = {"source_timeout"}


@dataclass(frozen=True)
class Crowd:
    """The origins while they run, and the URLs of their images."""

    good: PlainOrigin
    good_urls: list[str]
    # Each with the codes that it may fail with.
    hostile_urls: dict[str, set[str]]

    def csv(self, more: list[str] | None = None) -> bytes:
        """Return a catalogue of one image in each row, the hostile ones evenly among the good."""
        good, hostile = [*self.good_urls, *(more or [])], list(self.hostile_urls)
        every = len(good) / max(len(hostile), 1)
        urls = list(good)
        for number in reversed(range(len(hostile))):
            urls.insert(round(number * every), hostile[number])
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(("S. No.", "Product Name", "Input Image Urls"))
        writer.writerows((number, f"Product {number}", url) for number, url in enumerate(urls, 1))
        return file.getvalue().encode()


@contextmanager
def crowd(photo: bytes, *, good: int, of_each: int) -> Iterator[Crowd]:
    """Run a good origin with `good` images, and hostile ones with `of_each` images each."""
    files = {f"/{number}.jpg": (200, "image/jpeg", photo) for number in range(good)}
    with ExitStack() as stack:
        origin = stack.enter_context(PlainOrigin(files, distinct=True))
        urls = {}
        for path, codes in HOSTILE.items():
            host = stack.enter_context(HostileOrigin(image=photo))
            urls |= _urls(host, f"{path}?%d", of_each, codes)
        silent = stack.enter_context(SilentOrigin())
        stalled = _urls(silent, "/%d.jpg", of_each, TLS_STALL)
        urls |= {url.replace("http:", "https:"): codes for url, codes in stalled.items()}
        yield Crowd(origin, [origin.url(path) for path in files], urls)


def _urls(origin: OriginServer, path: str, count: int, codes: set[str]) -> dict[str, set[str]]:
    return {origin.url(path % number): codes for number in range(count)}
