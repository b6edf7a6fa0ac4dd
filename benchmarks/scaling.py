"""Measure what it costs to grow: worker processes against an origin that answers late.

    python -m benchmarks.scaling [--images N] [--latency MS] [--processes 1,2,4,8]

One job for each number of processes, on Postgres and the embedded broker. What the database, the
broker and the ledger's files take is counted by themselves: committed transactions and written rows
by pg_stat_database, commands by the broker's INFO, bytes by pg_total_relation_size. Postgres must
run on this machine, where its processor time is read.
docs/scaling.md derives from these where each of them comes to its limit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import redis

from imgcompress.config import embedded_broker_socket

from .peers.measured import cpu_of_tree
from .peers.origin import serving
from .peers.photos import CATALOGUE, photos_of
from .verdicts import cpu_seconds
from tests.support.databases import fresh_database
from tests.support.service import FINAL, Service

TABLES = ("compressed_images", "job_slice", "job_request")
# Postgres reports what a session did within a second of its end or of its last command.
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 10.0
MESSAGES = ("lpush",)


@dataclass(frozen=True)
class Counts:
    """What the database and the broker have done so far, and their bytes."""

    transactions: int
    rows: int
    commands: int
    messages: int
    table_bytes: int
    database_cpu: float
    broker_cpu: float
    at: float

    def since(self, before: Counts) -> Counts:
        """Return what was done since."""
        return Counts(
            *(getattr(self, name) - getattr(before, name) for name in self.__dataclass_fields__)
        )


@dataclass(frozen=True)
class Run:
    """One job: how many worker processes it had, and what it took."""

    processes: int
    images: int
    seconds: float
    cpu_seconds: float
    used: Counts
    idle: Counts

    def row(self) -> str:
        """Return the line of the table, in which the idle traffic is taken off."""
        per = self.images
        idle = self.used.at / self.idle.at
        cells = (
            f"{self.images / self.seconds:.1f}",
            f"{self.cpu_seconds / per * 1000:.0f} ms",
            f"{(self.used.database_cpu - self.idle.database_cpu * idle) / per * 1000:.2f} ms",
            f"{(self.used.broker_cpu - self.idle.broker_cpu * idle) / per * 1000:.2f} ms",
            f"{(self.used.transactions - self.idle.transactions * idle) / per:.2f}",
            f"{(self.used.rows - self.idle.rows * idle) / per:.2f}",
            f"{(self.used.commands - self.idle.commands * idle) / per:.2f}",
            f"{(self.used.messages - self.idle.messages * idle) / per:.3f}",
            f"{self.used.table_bytes / per:,.0f}",
            f"{self.idle.transactions / self.idle.at:.1f}",
            f"{self.idle.commands / self.idle.at:.1f}",
        )
        return f"| {self.processes} | {' | '.join(cells)} |"


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="What it costs to grow")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--latency", type=int, default=100, help="of the origin, milliseconds")
    parser.add_argument("--processes", default="1,2,4,8")
    options = parser.parse_args()
    photos = next(photos for photos in photos_of(None) if photos.kind is CATALOGUE)
    print(
        f"{os.cpu_count()} cores, origin after {options.latency} ms, {options.images} of"
        f" {photos.described()}; idle traffic taken off\n"
    )
    print(
        "| processes | images/s | CPU per image | of Postgres | of the broker | transactions"
        " | rows written | broker commands | messages | bytes of ledger | idle: transactions/s"
        " | idle: commands/s |"
    )
    print("|---|" + "---|" * 11)
    with serving(photos.files, options.latency / 1000) as origin:
        for processes in map(int, options.processes.split(",")):
            print(measure(processes, origin.urls(options.images)).row(), flush=True)


def measure(processes: int, urls: list[str]) -> Run:
    """Run a job with a number of worker processes."""
    with tempfile.TemporaryDirectory() as folder, fresh_database() as url:
        with Service(
            Path(folder, "var"),
            DATABASE_URL=url.replace("+psycopg2", ""),
            WORKER_PROCESSES=str(processes),
            RECOVERY_INTERVAL="5",
        ) as service:
            assert service.process is not None
            run_job(service, urls[: 10 * processes])
            spent = cpu_of_tree(service.process.pid)
            before = counts(url, service)
            status = run_job(service, urls)
            after = counts(url, service)
            cpu = cpu_of_tree(service.process.pid) - spent
            time.sleep(IDLE_SECONDS)
            idle = counts(url, service).since(after)
        return Run(processes, len(urls), seconds_of(status), cpu, after.since(before), idle)


def run_job(service: Service, urls: list[str]) -> dict[str, Any]:
    """Run a job to its end; return its status."""
    rows = (f"{number},Product {number},{url}" for number, url in enumerate(urls, 1))
    job = service.submit("\r\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode())
    while (status := service.status(job))["status"] not in FINAL:
        time.sleep(0.2)
    if status["completed_images"] < len(urls):
        raise SystemExit(f"The job ended otherwise than it should: {status}")
    return status


def seconds_of(status: dict[str, Any]) -> float:
    """Return how long the job took from its start to its end."""
    began, ended = (datetime.fromisoformat(status[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


def counts(url: str, service: Service) -> Counts:
    """Ask the database and the broker what they have done so far."""
    time.sleep(SETTLE_SECONDS)
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT xact_commit, tup_inserted + tup_updated + tup_deleted"
                " FROM pg_stat_database WHERE datname = current_database()"
            )
            transactions, rows = cursor.fetchone() or (0, 0)
            cursor.execute(
                "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s) AS name",
                (list(TABLES),),
            )
            (table_bytes,) = cursor.fetchone() or (0,)
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
            database_cpu = sum(cpu_seconds(pid) for (pid,) in cursor)
    with redis.Redis(unix_socket_path=str(embedded_broker_socket(service.data_dir))) as broker:
        stats, cpu = broker.info("commandstats"), broker.info("cpu")
    commands = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
    return Counts(
        transactions,
        rows,
        sum(commands.values()),
        sum(commands.get(name, 0) for name in MESSAGES),
        int(table_bytes),
        database_cpu,
        cpu["used_cpu_sys"] + cpu["used_cpu_user"],
        time.monotonic(),
    )


if __name__ == "__main__":
    main()
