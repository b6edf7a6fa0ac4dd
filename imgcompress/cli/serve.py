"""`imgcompress serve`: run the programs of one machine, broker, workers, Celery beat and web server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Event, Thread

import click
from flask.cli import with_appcontext

from ..config import Settings, embedded_broker_socket
from ..extensions import current_settings
from ..shipped import GUNICORN_SETTINGS
from ..worker.celery_app import DELIVERIES, IMAGES, RECOVERY
from .broker import broker_answers, broker_command, broker_log
from .ledger import upgrade_schema
from .local import answers, check_port, cores, local_url, lock_installation, url_of_holder
from .supervisor import Console, GaveUp, Program, StopSignals, Supervisor

# Deliveries and recovery wait for the network and the database: threads are enough for them.
DELIVERY_THREADS = 8
# The workers need not know of one another, and gossip costs idle traffic.
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")
# `serve` prints in one line what takes Celery eight.
QUIET_AS_ROOT = ("-W", "ignore:You're running the worker with superuser privileges")


def programs(settings: Settings) -> list[Program]:
    """Return the programs in the reverse order of their end.

    The web server ends first, so that no new work comes in; the worker before the delivery worker,
    which delivers its last events; the broker last, so that both can return their messages.
    """
    chosen = [_broker(settings)] if settings.embedded_broker else []
    return chosen + [
        _delivery_worker(settings),
        _worker(settings),
        Program("beat", _celery("beat"), "yellow", stop_seconds=5, starts_last=True),
        _web(settings),
    ]


def _broker(settings: Settings) -> Program:
    socket = embedded_broker_socket(settings.data_dir)
    return Program(
        "broker",
        tuple(broker_command(settings)),
        "blue",
        stop_seconds=10,
        ready=lambda: broker_answers(socket),
        traces=str(broker_log(settings.data_dir)),
    )


def _delivery_worker(settings: Settings) -> Program:
    """Return the worker for light tasks, which must never wait behind images."""
    return Program(
        "deliveries",
        _celery(
            "worker",
            "-n",
            "deliveries@%h",
            "-P",
            "threads",
            "-c",
            str(DELIVERY_THREADS),
            "-Q",
            _queues(settings, DELIVERIES, RECOVERY),
            *ALONE,
        ),
        "magenta",
        stop_seconds=settings.webhook_timeout + 5,
        starts_last=True,
    )


def _worker(settings: Settings) -> Program:
    processes = settings.worker_processes or cores()
    # A plain SIGTERM ends the worker as soon as it has released its slices. Celery's
    # soft shutdown would sleep for the whole of its timeout whenever a task runs.
    return Program(
        "worker",
        _celery(
            "worker",
            "-n",
            "worker@%h",
            "-P",
            "prefork",
            "-c",
            str(processes),
            "-Q",
            _queues(settings, IMAGES),
            *ALONE,
        ),
        "green",
        stop_seconds=settings.fetch_timeout + 20,
    )


def _web(settings: Settings) -> Program:
    url = local_url(settings.host, settings.port)
    return Program(
        "web",
        (sys.executable, "-m", "gunicorn", "-c", str(GUNICORN_SETTINGS), "imgcompress.wsgi:app"),
        "cyan",
        stop_seconds=25,
        ready=lambda: answers(url),
    )


def _celery(*arguments: str) -> tuple[str, ...]:
    return (
        sys.executable,
        *QUIET_AS_ROOT,
        "-m",
        "celery",
        "-q",
        "-A",
        "imgcompress.wsgi:celery_app",
        *arguments,
    )


def _queues(settings: Settings, *names: str) -> str:
    return ",".join(f"{settings.queue_prefix}.{name}" for name in names)


PARENT_SECONDS = 0.5
# How long a start waits for the service before it to stop.
RESTART_SECONDS = 15.0


def seconds_for_holder(data_dir: Path) -> float:
    """Return how long to wait for the holder of the lock: only for a service that is stopping.

    Such a service closes its port first, and releases its lock last.
    """
    holder = url_of_holder(data_dir)
    return RESTART_SECONDS if holder and not answers(holder) else 0.0


@click.command("serve")
@click.option(
    "--stop-with-parent",
    is_flag=True,
    help="Stop when the process that started this one has ended.",
)
@with_appcontext
def serve(stop_with_parent: bool) -> None:
    """Run the whole service on this machine.

    Starts the web server, the workers, recovery and, unless CELERY_BROKER_URL names one, the
    embedded broker. A process that dies is restarted; Ctrl-C or SIGTERM stops everything.
    """
    settings = current_settings()
    url = local_url(settings.host, settings.port)
    console = Console(json=settings.log_format == "json")
    with lock_installation(settings.data_dir, url, seconds_for_holder(settings.data_dir)):
        check_port(settings.host, settings.port)
        console.say(f"Starting imgcompress in {settings.data_dir}")
        if os.geteuid() == 0:
            console.say("This runs as root; in production, give it its own user.", fg="yellow")
        upgrade_schema()
        signals = StopSignals()
        if stop_with_parent:
            _stop_with_parent(signals.ended)
        _supervise(settings, url, signals, console)


def _supervise(settings: Settings, url: str, signals: StopSignals, console: Console) -> None:
    supervisor = Supervisor(programs(settings), signals.ended, console)
    try:
        if supervisor.start():
            console.say(f"imgcompress is ready at {url}  (Ctrl-C stops it)", bold=True)
            supervisor.watch()
        console.say(
            "Stopping; unfinished images go back to the queue. Press Ctrl-C again to stop at once."
        )
    except GaveUp as reason:
        raise click.ClickException(f"{reason} Everything was stopped.") from reason
    finally:
        supervisor.stop(signals.hurry)
    console.say("Stopped.")


def _stop_with_parent(ended: Event) -> None:
    """Set `ended` when the process that started this one has ended, even by SIGKILL."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent and not ended.wait(PARENT_SECONDS):
            pass
        ended.set()

    Thread(target=watch, daemon=True).start()
