"""Measure what the second run of a catalogue costs, with `since` the first.

    python -m benchmarks.since [--images N] [--kind catalogue|camera|phone] [--changed PERCENT]
                               [--only sqlite|postgres]

The same catalogue runs six times through the whole service, from an origin on this machine that
gives ETags: without an earlier job, unchanged, unchanged and trusted, unchanged from an origin
that gives no ETags any more, then gives them again, and with a share of images changed. Processor
time is that of all processes of the service, without Postgres. The growth of the ledger is that of the
first and the second run by a copy of its images without what `since` needs.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from .intake import ledger
from .peers.measured import cpu_of_tree
from .peers.photos import CATALOGUE, KINDS, photos_of
from .verdicts import Verdict, print_verdicts
from tests.origin import PlainOrigin
from tests.support.service import FINAL, Service

DATABASES = ("sqlite", "postgres")
JOB_SECONDS = 3600
ADDED = ("earlier", "change", "source_hash", "validator", "seen_at", "file_ref", "content_ref")


@dataclass(frozen=True)
class Run:
    """One run of the catalogue."""

    name: str
    seconds: float
    cpu_seconds: float
    requests: int
    status: dict[str, Any]

    def row(self, first: Run, images: int) -> str:
        """Return its line of the table."""
        cells = (
            f"{images / self.seconds:.1f}",
            f"{first.seconds / self.seconds:.1f}",
            f"{self.cpu_seconds / images * 1000:.1f} ms",
            f"{self.cpu_seconds / first.cpu_seconds:.1%}",
            f"{self.requests / images:.2f}",
            f"{self.status['unchanged_images'] or 0:,}",
            f"{self.status['changed_images'] or 0:,}",
        )
        return f"| {self.name} | {' | '.join(cells)} |"


def main() -> None:
    """Run the benchmark and print a table for each database."""
    parser = argparse.ArgumentParser(description="The cost of a second run")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument(
        "--kind", choices=[kind.name for kind in KINDS], default=CATALOGUE.name, help="of photos"
    )
    parser.add_argument("--changed", type=float, default=1.0, help="per cent")
    parser.add_argument("--only", choices=DATABASES)
    options = parser.parse_args()
    for name in [options.only] if options.only else DATABASES:
        with ledger(name) as (url, folder):
            measure(name, url, folder, options.images, options.changed, options.kind)


def measure(
    name: str, url: str, folder: Path, images: int, changed: float, kind: str = CATALOGUE.name
) -> None:
    """Run the catalogue and print what it took."""
    (photos,) = photos_of(None, only=kind)
    files = {
        f"/{number}.jpg": (200, "image/jpeg", photos.files[number % len(photos.files)])
        for number in range(images)
    }
    with (
        PlainOrigin(files, distinct=True) as origin,
        Service(folder / "service", DATABASE_URL=url, MAX_IMAGES_PER_JOB="1000000") as service,
    ):
        rows = "".join(f"{n},P{n},{origin.url(f'/{n}.jpg')}\n" for n in range(images))
        csv = f"S. No.,Product Name,Input Image Urls\n{rows}".encode()
        etags = {path: {"ETag": f'"65f0c1{number:07x}"'} for number, path in enumerate(files)}
        origin.headers |= etags
        runs = [run(service, origin, csv, "first run")]
        growth = [bytes_added(url)]
        runs.append(run(service, origin, csv, "unchanged", since="latest"))
        growth.append(2 * bytes_added(url) - growth[0])
        runs.append(run(service, origin, csv, "trusted", since="latest", trust="30d"))
        origin.headers.clear()
        runs.append(run(service, origin, csv, "without ETags", since="latest"))
        # The last run kept no ETags, and the next one gets new ones.
        origin.headers |= etags
        runs.append(run(service, origin, csv, "with ETags again", since="latest"))
        for number in range(0, images, round(100 / changed)):
            path = f"/{number}.jpg"
            origin.files[path] = (200, "image/jpeg", photos.files[(number + 1) % len(photos.files)])
            origin.headers[path] = {"ETag": '"changed"'}
        runs.append(run(service, origin, csv, f"{changed:g} % changed", since="latest"))
    print(
        f"\n{name}: {images:,} images, {photos.described()}, {os.cpu_count()} cores, load"
        f" {os.getloadavg()[1]:.1f}\n\n| | images/s | times the first | CPU per image | of the first"
        " | requests per URL | unchanged | changed |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for one in runs:
        print(one.row(runs[0], images))
    first, second, trusted, *_, last = runs
    own_work = (last.cpu_seconds - second.cpu_seconds) / (
        first.cpu_seconds * last.status["changed_images"] / images
    )
    print_verdicts(
        name,
        [
            Verdict("CPU of the unchanged run", second.cpu_seconds / first.cpu_seconds, 0.05),
            Verdict("requests per URL, unchanged", second.requests / images, 1),
            Verdict("requests per URL, trusted", trusted.requests / images, 0),
            Verdict(
                "speed of the unchanged run",
                first.seconds / second.seconds,
                10,
                "times the first",
                more_is_better=True,
            ),
            Verdict("CPU of a changed image beside one of the first run", own_work),
            Verdict("growth of the ledger, first run", growth[0], 120, "bytes per image"),
            Verdict("growth of the ledger, unchanged run", growth[1], 120, "bytes per image"),
        ],
    )


def run(service: Service, origin: PlainOrigin, csv: bytes, name: str, **fields: str) -> Run:
    """Upload the catalogue and wait for its end."""
    assert service.process
    origin.hits.clear()
    cpu, began = cpu_of_tree(service.process.pid), time.monotonic()
    request_id = service.submit(csv, **fields)
    end = began + JOB_SECONDS
    while (status := ended(service, request_id))["status"] not in FINAL:
        assert time.monotonic() < end, status
    seconds = time.monotonic() - began
    assert status["status"] == "COMPLETED" and not status["failed_images"], status
    return Run(
        name,
        seconds,
        cpu_of_tree(service.process.pid) - cpu,
        origin.hits.total(),
        status,
    )


def ended(service: Service, request_id: str) -> dict[str, Any]:
    """Wait for the end of a job, as callers do who have no webhook; return its status."""
    answer: dict[str, Any] = service.get(f"/job/status/{request_id}", wait_for="end").json()
    return answer


def bytes_added(url: str) -> float:
    """Return by how many bytes the columns for `since` make an image's rows larger."""
    return _on_sqlite(url) if url.startswith("sqlite") else _on_postgres(url)


def _on_sqlite(url: str) -> float:
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("VACUUM INTO ?", (f"{folder}/with",))
        with closing(sqlite3.connect(f"{folder}/with", isolation_level=None)) as copy:
            rows: int = copy.execute("SELECT count(*) FROM compressed_images").fetchone()[0]
            copy.execute(f"UPDATE compressed_images SET {' = NULL, '.join(ADDED)} = NULL")
            copy.execute("VACUUM INTO ?", (f"{folder}/without",))
        sizes = [Path(folder, name).stat().st_size for name in ("with", "without")]
    return float(sizes[0] - sizes[1]) / rows


def _on_postgres(url: str) -> float:
    sizes, rows = [], 1
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM compressed_images LIMIT 0")
        names = [column.name for column in cursor.description or ()]
        for left_out in ((), ADDED):
            cursor.execute("CREATE TABLE measured (LIKE compressed_images INCLUDING ALL)")
            columns = ", ".join("NULL" if name in left_out else name for name in names)
            cursor.execute(f"INSERT INTO measured SELECT {columns} FROM compressed_images")
            cursor.execute("SELECT pg_total_relation_size('measured'), count(*) FROM measured")
            size, rows = cursor.fetchone() or (0, 1)
            sizes.append(size)
            cursor.execute("DROP TABLE measured")
    return float(sizes[0] - sizes[1]) / rows


if __name__ == "__main__":
    main()
