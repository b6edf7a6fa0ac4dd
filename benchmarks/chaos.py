"""Harm a running installation in every way that the ledger promises to survive; print a table.

    python -m benchmarks.chaos                      # everything, on every broker: more than an hour
    python -m benchmarks.chaos kill-worker flush --shapes embedded --images 200 --rounds 3
    python -m benchmarks.chaos postgres-failover --images 300 --seconds 20
    python -m benchmarks.chaos soak --minutes 30

It needs PostgreSQL and RabbitMQ as the tests do (see tests/support/servers.py), and Linux. The full disk
takes the right to mount one, the killed worker the right to make a cgroup, and others programs of
Debian: faketime, pgbouncer, and the servers, of which they start their own.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

from imgcompress.worker.process import WITH_SLOW

from tests.faults import (
    clock,
    fairness,
    ledger_races,
    memory,
    postgres,
    queues,
    rabbit_node,
    scenarios,
    storage,
)
from tests.faults.disk import small_disk
from tests.faults.installation import SHAPES, Installation, installation
from tests.faults.private import NotInstalled
from tests.faults.soak import soak
from tests.faults.upgrade import upgrade
from tests.faults.verdict import Verdict, Watched, through
from tests.support.databases import fresh_database, migrate

COLUMNS = (
    "fault",
    "broker",
    "images",
    "rounds",
    "lost",
    "doubled",
    "drift",
    "stuck",
    "webhook ids",
    "fetches per image",
    "longest standstill, s",
    "job, s",
    "other promises that were broken",
)


class Defaults(TypedDict):
    """Settings that an installation of these programmes is given, by their variables."""

    LEASE_SECONDS: str
    RECOVERY_INTERVAL: str
    FETCH_CONCURRENCY: str


# The settings of a new installation: nothing is made quick for the test. Fewer downloads at a time
# let the origin be slow for long enough without an image that takes longer than a fault's pause.
CONCURRENCY = 4
DEFAULTS: Defaults = {
    "LEASE_SECONDS": "30",
    "RECOVERY_INTERVAL": "5",
    "FETCH_CONCURRENCY": str(CONCURRENCY),
}
# Room for everything that a job of a few thousand images leaves behind.
DISK_BYTES = 256 << 20
EMBEDDED, POSTGRES = SHAPES[0], SHAPES[1:]


@dataclass(frozen=True)
class Fault:
    """A way to harm a job: how often, how many seconds apart, and on which shapes."""

    harm: Callable[[Watched], object]
    rounds: int
    apart: float
    shapes: tuple[str, ...] = SHAPES


FAULTS = {
    # `flask serve` gives up on a program that dies again and again before it has run for 10 s.
    "kill-worker": Fault(scenarios.kill_worker, 20, 14.0),
    "kill-child": Fault(scenarios.kill_child, 50, 2.0),
    "flush": Fault(scenarios.flush_broker, 5, 8.0),
    "broker-away-60s": Fault(lambda job: scenarios.broker_away(job, 60), 1, 10.0),
    "kill-broker": Fault(scenarios.kill_broker, 3, 15.0, (EMBEDDED,)),
    "pause-child": Fault(lambda job: scenarios.pause_child(job, 40), 1, 10.0, (EMBEDDED,)),
    "restart": Fault(scenarios.restart, 5, 8.0, (EMBEDDED, "postgres+rabbitmq")),
    "database-away-30s": Fault(lambda job: scenarios.database_away(job, 30), 1, 10.0, POSTGRES),
}


@dataclass(frozen=True)
class Day:
    """A bad day, with an installation and servers of its own; the fault lasts for some seconds."""

    run: Callable[..., Verdict]
    seconds: float
    on: str


# In the order in which they are likely to meet somebody.
DAYS = {
    "upgrade": Day(upgrade, 30, "postgres+valkey"),
    "memory-kill": Day(memory.killed_for_memory, 30, "embedded"),
    "storage-locked": Day(storage.locked_folder, 20, "embedded"),
    "postgres-read-only": Day(postgres.read_only, 30, "postgres+valkey"),
    "postgres-failover": Day(postgres.fail_over, 20, "postgres+valkey"),
    "rabbitmq-alarm": Day(rabbit_node.alarm, 60, "sqlite+rabbitmq"),
    "redis-full": Day(queues.redis_full, 30, "postgres+redis"),
    "redis-eviction": Day(queues.eviction, 30, "postgres+redis"),
    "rabbitmq-password": Day(rabbit_node.wrong_password, 30, "sqlite+rabbitmq"),
    "redis-password": Day(queues.redis_password, 30, "postgres+redis"),
    "clock-back": Day(clock.put_back, 60, "embedded"),
    "clock-back-restart": Day(clock.put_back_and_restarted, 60, "embedded"),
    "clock-forward": Day(clock.put_forward, 60, "embedded"),
    "worker-clock-behind": Day(clock.worker_behind, 60, "postgres+redis"),
    "worker-clock-ahead": Day(clock.worker_ahead, 60, "postgres+redis"),
    "s3-overloaded": Day(storage.s3_overloaded, 30, "embedded+s3"),
    "s3-down": Day(storage.s3_down, 30, "embedded+s3"),
    "s3-forbidden": Day(storage.s3_forbidden, 30, "embedded+s3"),
    "garbage-rabbitmq": Day(queues.garbage, 20, "postgres+rabbitmq"),
    "garbage-redis": Day(queues.garbage_on_redis, 20, "postgres+redis"),
    "pgbouncer": Day(postgres.pgbouncer, 10, "postgres+valkey"),
}
TRIPLE, FAIRNESS = "triple-delivery", "fairness"
LAST_SLICES, WRITERS = "last-slices", "sqlite-writers"
DISK_FULL = "disk-full-30s"
PUBLISH, DELIVERIES = "kill-web-before-publish", "kill-deliveries-while-sending"
KILLERS, UPLOADS = "killer-images", "upload-while-broker-away"
SOAK = "soak"
OTHERS = (
    TRIPLE,
    *scenarios.SECOND_RUNS,
    PUBLISH,
    DELIVERIES,
    KILLERS,
    UPLOADS,
    LAST_SLICES,
    WRITERS,
    DISK_FULL,
    FAIRNESS,
    SOAK,
)


def main() -> None:
    """Run what the command line asks for; what cannot be started leaves the others to run."""
    choices = _arguments()
    print(" | ".join(COLUMNS))
    steps: list[Callable[[], None]] = []
    for shape in choices.shapes:
        chosen = [name for name in choices.faults if _runs_on(name, shape)]
        if chosen:
            steps.append(partial(_run_shape, shape, chosen, choices))
    steps += [
        partial(_run_day, name, DAYS[name], choices) for name in choices.faults if name in DAYS
    ]
    if SOAK in choices.faults:
        steps.append(partial(_soak, choices))
    if DISK_FULL in choices.faults and EMBEDDED in choices.shapes:
        steps.append(partial(_fill_disk, choices))
    if LAST_SLICES in choices.faults:
        steps.append(partial(_print_races, choices.rounds or 500))
    if WRITERS in choices.faults:
        steps.append(_print_writers)
    for step in steps:
        try:
            step()
        except Exception:
            traceback.print_exc()


def _soak(choices: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        found = soak(Path(folder), choices.minutes, **DEFAULTS)
        print("soak:", "clean" if found.clean else "NOT CLEAN", found, flush=True)
        if choices.log:
            for log in Path(folder).glob("*.log"):
                shutil.copy(log, choices.log / f"{SOAK}.log")


def _runs_on(name: str, shape: str) -> bool:
    if name in FAULTS:
        return shape in FAULTS[name].shapes
    if name == UPLOADS:
        return shape in POSTGRES
    return name in (TRIPLE, *scenarios.SECOND_RUNS) or (
        name in (PUBLISH, DELIVERIES, KILLERS, FAIRNESS) and shape == EMBEDDED
    )


def _run_day(name: str, day: Day, choices: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        try:
            verdict = day.run(
                Path(folder), choices.images, choices.seconds or day.seconds, **DEFAULTS
            )
            _print_row(name, day.on, 1, verdict)
        except (NotInstalled, PermissionError) as error:
            print(f"no {name}: {error}", flush=True)
        finally:
            if choices.log:
                for log in Path(folder).glob("*.log"):
                    shutil.copy(log, choices.log / f"{name}.log")


def _run_shape(shape: str, chosen: list[str], choices: argparse.Namespace) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        installation(shape, Path(folder), **DEFAULTS) as service,
    ):
        for name in chosen:
            try:
                _run(name, shape, service, choices)
            except Exception:
                traceback.print_exc()
        if choices.log:
            shutil.copy(service.log_file, choices.log / f"{shape}.log")


def _run(name: str, shape: str, service: Installation, choices: argparse.Namespace) -> None:
    images = choices.images
    if name in FAULTS:
        _harm(name, FAULTS[name], shape, service, choices)
    elif name == TRIPLE:
        _print_row(name, shape, 1, scenarios.triple_delivery(service, images))
    elif name in scenarios.SECOND_RUNS:
        verdict = scenarios.second_run(service, images, scenarios.SECOND_RUNS[name])
        _print_row(name, shape, 1, verdict)
    elif name == FAIRNESS:
        _print_fairness(service)
    elif name == KILLERS:
        print("killer images:", scenarios.killer_images(service, images, 1200), flush=True)
    elif name == UPLOADS:
        slowest = scenarios.uploads_while_broker_away(service, choices.rounds or 10)
        print(f"uploads while the broker is away, {shape}: slowest {slowest:.2f} s", flush=True)
    else:
        scenario = (
            scenarios.killed_before_publishing
            if name == PUBLISH
            else scenarios.delivery_worker_killed_while_sending
        )
        for _ in range(choices.rounds or 3):
            _print_row(name, shape, 1, scenario(service, 20))


def _harm(
    name: str, fault: Fault, shape: str, service: Installation, choices: argparse.Namespace
) -> None:
    images, rounds = choices.images, choices.rounds or fault.rounds
    # The origin is as slow as it takes for the job to outlast its faults.
    delay = rounds * fault.apart / 0.9 * _downloads(service) / images
    verdict = through(service, images, rounds, fault.harm, delay=delay, seconds=1800)
    _print_row(name, shape, rounds, verdict)


def _fill_disk(choices: argparse.Namespace) -> None:
    """Harm an installation of its own, whose disk is small."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(Path(folder) / "disk", DISK_BYTES))
        except PermissionError as error:
            print(f"no full disk: {error}", flush=True)
            return
        service = stack.enter_context(installation(EMBEDDED, disk, **DEFAULTS))
        fault = Fault(lambda job: scenarios.disk_full(job, disk, 30), 3, 5.0)
        _harm(DISK_FULL, fault, EMBEDDED, service, choices)


def _downloads(service: Installation) -> int:
    return WITH_SLOW * CONCURRENCY * len(service.worker_children() or [0, 0])


def _print_row(name: str, shape: str, rounds: int, verdict: Verdict) -> None:
    print(
        " | ".join(
            map(
                str,
                (
                    name,
                    shape,
                    verdict.images,
                    rounds,
                    verdict.lost,
                    verdict.doubled,
                    verdict.drift,
                    verdict.stuck,
                    verdict.webhook_ids,
                    verdict.fetches_per_image,
                    verdict.standstill,
                    verdict.seconds,
                    "; ".join(verdict.broken),
                ),
            )
        ),
        flush=True,
    )


def _print_fairness(service: Installation) -> None:
    print("3 images beside 5,000:", fairness.small_beside_large(service, 5000, 3), flush=True)
    time.sleep(5)
    print(
        "200 images beside 1,000 whose origin hangs:",
        fairness.healthy_beside_hanging(service, 200, 1000),
        flush=True,
    )


def _print_races(rounds: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        for kind, url in (
            ("sqlite", f"sqlite:///{folder}/ledger.sqlite3"),
            ("postgres", stack.enter_context(fresh_database())),
        ):
            migrate(url, folder)
            print(
                f"last-slices on {kind}:",
                ledger_races.race_of_last_slices(url, folder, rounds),
                flush=True,
            )


def _print_writers() -> None:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        url = f"sqlite:///{folder}/ledger.sqlite3"
        migrate(url, Path(folder))
        print(
            "eight writers on SQLite for 60 s:",
            ledger_races.write_from_many(url, Path(folder), processes=8, seconds=60),
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*FAULTS, *OTHERS, *DAYS]
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(names)}")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--images", type=int, default=2000, help="images of each job")
    parser.add_argument("--rounds", type=int, help="how often each fault happens")
    parser.add_argument("--seconds", type=float, help="how long a bad day's fault lasts")
    parser.add_argument("--minutes", type=float, default=30, help="how long the soak lasts")
    parser.add_argument("--log", type=Path, help="a folder to keep the service's log in")
    choices = parser.parse_args()
    if choices.log:
        choices.log.mkdir(parents=True, exist_ok=True)
    if unknown := set(choices.faults) - set(names):
        sys.exit(f"There is no fault called {', '.join(unknown)}; there are {', '.join(names)}.")
    choices.faults = choices.faults or names
    return choices


if __name__ == "__main__":
    main()
