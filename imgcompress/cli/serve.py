"""`imgcompress serve`: everything that one machine needs, under one supervisor."""

from __future__ import annotations

import os
from threading import Event, Thread

import click
from flask.cli import with_appcontext

from ..config import Settings
from ..extensions import current_settings
from .database import migrate
from .local import check_port, local_url, lock_installation
from .programs import programs
from .supervisor import Console, GaveUp, StopSignals, Supervisor

PARENT_SECONDS = 0.5


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
    with lock_installation(settings.data_dir, url):
        check_port(settings.host, settings.port)
        console.say(f"Starting imgcompress in {settings.data_dir}")
        if os.geteuid() == 0:
            console.say("This runs as root; in production, give it its own user.", fg="yellow")
        migrate()
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
            "Stopping; unfinished images are handed back. Press Ctrl-C again to stop at once."
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
