"""Measure what one fetch costs in CPU time, beside bare urllib3 and bare requests in one run.

    python -m benchmarks.fetching [--rounds N] [--fetches N] [--kib N]

The origin is another process that keeps connections alive. The contestants take turns in every
round; the table shows medians over the rounds of the CPU time of this process, all its threads
together, per fetch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from ipaddress import ip_network
from multiprocessing.connection import Connection
from statistics import median

import requests
import urllib3

from imgcompress.net import DialPolicy
from imgcompress.net.fetcher import Fetcher, FetchLimits

from tests.origin import PlainOrigin

Fetch = Callable[[str], bytes]
OURS = "netguard + Fetcher"
WARM_UP = 20


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="CPU time per fetch")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--fetches", type=int, default=20, help="in each round")
    parser.add_argument("--kib", type=int, default=100, help="size of the image")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    origin = context.Process(target=serve, args=(theirs, options.kib * 1024), daemon=True)
    origin.start()
    try:
        show(measure(ours.recv(), options.kib * 1024, options.rounds, options.fetches))
    finally:
        ours.send(None)
        origin.join()


def serve(connection: Connection, size: int) -> None:
    """Serve one image until the end is asked for."""
    with PlainOrigin({"/a.jpg": (200, "image/jpeg", bytes(size))}) as origin:
        connection.send(origin.url("/a.jpg"))
        connection.recv()


def contestants() -> dict[str, Fetch]:
    """Return the ways to fetch, each with its connection pool."""
    pool = urllib3.PoolManager()
    session = requests.Session()
    policy = DialPolicy((ip_network("127.0.0.1/32"),), ((1, 65_535),))
    limits = FetchLimits(total_seconds=25, connect_seconds=5, max_bytes=25 * 2**20)
    fetcher = Fetcher(policy, limits, per_host=16)
    return {
        "bare urllib3": lambda url: pool.request("GET", url).data,
        "bare requests": lambda url: session.get(url).content,
        OURS: lambda url: fetcher.fetch(url).data,
    }


def measure(url: str, size: int, rounds: int, fetches: int) -> dict[str, float]:
    """Return the median CPU time of a fetch by each contestant, in seconds."""
    times: dict[str, list[float]] = {}
    ways = contestants()
    for fetch in ways.values():
        cpu_seconds(fetch, url, size, WARM_UP)
    for _ in range(rounds):
        for name, fetch in ways.items():
            times.setdefault(name, []).append(cpu_seconds(fetch, url, size, fetches))
    return {name: median(seconds) for name, seconds in times.items()}


def cpu_seconds(fetch: Fetch, url: str, size: int, times: int) -> float:
    """Return the CPU time of this process per fetch; fail if the bytes are not all there."""
    began = time.process_time()
    for _ in range(times):
        if len(fetch(url)) != size:
            raise SystemExit("A fetch did not give the whole image.")
    return (time.process_time() - began) / times


def show(medians: dict[str, float]) -> None:
    """Print the table; the ratio is ours to each contestant's."""
    print(f"{'':20} {'us per fetch':>12} {'ours more by':>12} {'ours / it':>10}")
    for name, seconds in medians.items():
        more = medians[OURS] - seconds
        print(f"{name:20} {seconds * 1e6:12.0f} {more * 1e6:12.0f} {medians[OURS] / seconds:10.2f}")


if __name__ == "__main__":
    main()
