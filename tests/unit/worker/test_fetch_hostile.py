"""Origins that misbehave: each ends in time, with the right code, and harms nobody else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from imgcompress.errors import ImageError
from imgcompress.net import Deadline, exchange
from imgcompress.net.fetcher import Fetcher, FetchLimits

from .test_fetch import POLICY
from tests.origin import HostileOrigin, SilentOrigin
from tests.origin.bodies import NO_CODINGS
from tests.origin.heads import DOUBTFUL, MALFORMED

SECONDS = 0.3
HASTY = FetchLimits(total_seconds=SECONDS, connect_seconds=0.3, max_bytes=1_000_000)
# For what ends by itself, however slow this machine is.
PATIENT = replace(HASTY, total_seconds=30, connect_seconds=10)
MIB = 2**20
ROOT = Path(__file__).parents[3]

CODES = {
    "/drip-body": "source_timeout",
    "/drip-head": "source_timeout",
    "/silence": "source_timeout",
    "/silent-body": "source_timeout",
    "/endless": "too_large",
    "/endless-chunks": "too_large",
    "/gzip-bomb": "too_large",
    "/hollow-gzip": "too_large",
    "/length-huge": "too_large",
    "/length-too-large": "source_broken",
    "/lengths-differ": "source_broken",
    "/broken-chunks": "source_broken",
    "/cut-chunks": "source_broken",
    "/cut-gzip": "source_broken",
    "/false-gzip": "source_broken",
    "/huge-head": "head_too_large",
    "/huge-header": "head_too_large",
    "/many-headers": "head_too_large",
    "/two-hundred-and-one-headers": "head_too_large",
    "/interim-flood": "head_too_large",
    "/cut-head": "source_broken",
    "/reset": "source_broken",
    "/reset-at-once": "source_broken",
    "/hang-up": "source_broken",
    "/http-0.9": "source_broken",
    "/bad-status-line": "source_broken",
    "/five-encodings": "bad_encoding",
    "/compress": "bad_encoding",
    "/false-brotli": "source_broken",
    "/false-zstd": "source_broken",
    "/cut-brotli": "source_broken",
    "/cut-zstd": "source_broken",
    "/brotli-bomb": "too_large",
    "/zstd-bomb": "too_large",
    "/hollow-zstd": "source_broken",
    "/wide-zstd": "source_broken",
    "/206/part": "source_status",
    "/206/unknown": "source_status",
    "/206/short": "source_broken",
    "/empty": "truncated_image",
    "/redirect-nowhere": "source_status",
    **{f"/doubtful/{number}": "source_broken" for number in range(len(DOUBTFUL))},
}
RETRYABLE = {"source_timeout", "source_broken"}


@pytest.fixture
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin(drip_seconds=0.05) as origin:
        yield origin


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(POLICY, PATIENT, per_host=8)


@pytest.fixture
def hasty(fetcher) -> Fetcher:
    return Fetcher(POLICY, HASTY, per_host=8, session=fetcher.session)


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("path", CODES)
def test_a_hostile_host_fails_in_time_and_affects_no_other_image(
    hostile, fetcher, hasty, path, kept
):
    if kept:
        assert fetcher.fetch(hostile.url("/good")).data == hostile.image
    began = time.monotonic()
    with pytest.raises(ImageError) as caught:
        (hasty if CODES[path] == "source_timeout" else fetcher).fetch(hostile.url(path))
    assert caught.value.code == CODES[path]
    assert caught.value.retryable == (CODES[path] in RETRYABLE)
    # Far over the limit, so that a loaded machine does not matter; the drip would take minutes.
    assert time.monotonic() - began < SECONDS + 5
    assert fetcher.fetch(hostile.url("/good")).data == hostile.image


@pytest.mark.parametrize(
    "path",
    [
        "/gzip",
        "/gzip-and-more",
        "/deflate",
        "/raw-deflate",
        "/image-as-text",
        "/closes-idle",
        "/dies-when-reused",
        "/brotli",
        "/zstd",
        "/zstd-frames",
        "/gzip-of-aws",
        "/203",
        "/206/whole",
        "/hints",
        "/two-hundred-headers",
        "/long-header",
        *(f"/no-coding/{number}" for number in range(len(NO_CODINGS))),
        *(f"/malformed/{number}" for number in range(len(MALFORMED))),
    ],
)
def test_odd_but_complete_responses_are_accepted(fetcher, hostile, path):
    for _ in range(2):
        assert fetcher.fetch(hostile.url(path)).data == hostile.image


def test_the_content_type_is_ignored(fetcher, hostile):
    assert fetcher.fetch(hostile.url("/image-as-text")).data == hostile.image
    assert fetcher.fetch(hostile.url("/text-as-image")).data.startswith(b"<!doctype html>")


def test_a_length_that_is_too_small_spoils_no_other_image(fetcher, hostile):
    for _ in range(3):
        assert fetcher.fetch(hostile.url("/length-too-small")).data == hostile.image[:10]
        assert fetcher.fetch(hostile.url("/good")).data == hostile.image


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_origin_that_accepts_and_does_not_answer(hasty, scheme):
    with SilentOrigin() as silent, pytest.raises(ImageError, match="source_timeout"):
        hasty.fetch(f"{scheme}://127.0.0.1:{silent.port}/")


def test_a_body_below_the_minimum_rate_ends_before_the_total_time(hostile):
    limits = replace(HASTY, total_seconds=60, min_rate=1000, rate_grace=0.2)
    began = time.monotonic()
    with pytest.raises(ImageError, match="source_timeout"):
        Fetcher(POLICY, limits, per_host=1).fetch(hostile.url("/drip-body"))
    assert time.monotonic() - began < 30


def test_trailers_without_end(hasty, hostile):
    with pytest.raises(ImageError) as caught:
        hasty.fetch(hostile.url("/endless-trailers"))
    assert caught.value.code in ("source_timeout", "source_broken")


def test_an_origin_that_hangs_does_not_hold_up_another(hostile):
    patient = Fetcher(POLICY, replace(HASTY, total_seconds=2), per_host=8)
    with HostileOrigin() as healthy, ThreadPoolExecutor(16) as threads:
        hanging = [threads.submit(patient.fetch, hostile.url("/silence")) for _ in range(8)]
        good = [threads.submit(patient.fetch, healthy.url("/good")) for _ in range(40)]
        assert [fetch.result().data for fetch in good] == [healthy.image] * 40
        assert not any(fetch.done() for fetch in hanging)
        assert {str(fetch.exception())[:14] for fetch in hanging} == {"source_timeout"}


@pytest.mark.parametrize("number", range(len(MALFORMED)))
def test_after_a_malformed_head_the_next_image_gets_a_new_connection(fetcher, hostile, number):
    assert fetcher.fetch(hostile.url("/good")).data == hostile.image
    url = hostile.url(f"/malformed/{number}")
    with Deadline(5) as deadline, exchange(fetcher.session, "GET", url, deadline) as response:
        assert (response.read(), response.headers["Content-Type"]) == (hostile.image, "image/jpeg")
    assert fetcher.fetch(hostile.url("/good")).data == hostile.image
    odd_but_clear = MALFORMED[number].startswith(("X-Folded", "X-Blank"))
    assert hostile.connections == (1 if odd_but_clear else 2)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/many-headers", "The answer has more than 200 headers"),
        ("/huge-header", "The answer's headers have more than 131,072 bytes"),
    ],
)
def test_a_head_that_is_too_large_is_reported_by_a_message_of_its_own(
    fetcher, hostile, path, found
):
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(hostile.url(path))
    assert caught.value.message == (
        f"{found}. The server sends too many or too large headers with the image; have it send"
        " fewer, such as fewer cookies."
    )
    assert caught.value.answered


@pytest.mark.parametrize(
    "path",
    [
        "/endless",
        "/endless-chunks",
        "/gzip-bomb",
        "/brotli-bomb",
        "/zstd-bomb",
        "/wide-zstd",
        "/endless-trailers",
        "/interim-flood",
        "/huge-head",
    ],
)
def test_memory_stays_small(hostile, path):
    """Fetch in a process of its own, since the peak of this one holds all earlier tests."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK_GROWTH, hostile.url(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code, growth = run.stdout.split()
    assert code in ("too_large", "source_timeout", "source_broken", "head_too_large")
    assert int(growth) < 50 * MIB


# Print the code of the error and the growth of the process's peak memory, in bytes.
PEAK_GROWTH = """
import resource, sys
from imgcompress.errors import ImageError
from imgcompress.net.fetcher import Fetcher, FetchLimits
from tests.unit.worker.test_fetch import POLICY
limits = FetchLimits(total_seconds=3, connect_seconds=2, max_bytes=25 * 2**20)
fetcher = Fetcher(POLICY, limits, per_host=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fetcher.fetch(sys.argv[1])
except ImageError as error:
    print(error.code)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
