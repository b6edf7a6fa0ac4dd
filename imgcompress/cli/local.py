"""Services on this machine: their cores, address and lock, and a service for one run."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
import requests

from ..config import variables
from ..shipped import PACKAGE

# A server that listens on every interface is reached on loopback.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def local_url(host: str, port: int) -> str:
    """Return the URL at which a server on `host` and `port` is reached from this machine."""
    name = LOOPBACK.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def check_port(host: str, port: int) -> None:
    """Raise ClickException with what to do when `host` and `port` cannot be listened on."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As in the web server: connections in TIME_WAIT do not block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        raise click.ClickException(_explain(host, port, error)) from error


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Return whether the web server at `url`, on this machine, is healthy."""
    with requests.Session() as session:
        session.trust_env = False  # Requests to this machine bypass proxies.
        try:
            return session.get(f"{url}/healthz", timeout=1).ok
        except requests.RequestException:
            return False


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _explain(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return (
            f"Port {port} on {host} is in use by another program.\nChoose another port: make"
            f" run PORT={other}  (or PORT={other} imgcompress serve)"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs root privileges; choose a port from 1024 upwards with PORT=."
    return f"Cannot listen on HOST={host} PORT={port}: {error.strerror}."


LOCK_NAME = "serve.lock"
POLL_SECONDS = 0.2


def url_of_holder(data_dir: Path) -> str | None:
    """Return the URL that the last holder of the lock serves or served, or None."""
    try:
        found = re.search(r"https?://\S+", (data_dir / LOCK_NAME).read_text(encoding="utf-8"))
    except OSError:
        return None
    return found and found[0]


def lock_installation(data_dir: Path, place: str, patience: float = 0.0) -> TextIO:
    """Lock `data_dir` until the returned file is closed; `place` is written to it for others.

    Wait up to `patience` seconds for a holder that is stopping. Raise ClickException, naming the
    holder, when it keeps the lock, and when the folder cannot be used.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / LOCK_NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"DATA_DIR={data_dir} cannot be used: {error.strerror}.\nSet DATA_DIR to a folder that"
            " this user can create or write to, or change the permissions of this one."
        ) from error
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "starting"
        if time.monotonic() >= end:
            lock.close()
            raise click.ClickException(
                f"imgcompress is already running in {data_dir} ({holder}).\nStop that one first, or"
                " give this one a folder and a port of its own, such as DATA_DIR=var-2 PORT=5001."
            )
        time.sleep(POLL_SECONDS)
    lock.truncate(0)
    lock.write(f"pid {os.getpid()}, {place}\n")
    lock.flush()
    return lock


# A complete service for one run, which only this machine can reach.
START_SECONDS, STOP_SECONDS = 90.0, 90.0
LOG_LINES = 15
# Settings of the environment that also hold for a run of its own: how images are fetched and
# compressed. All others describe an installation, which the run must not use.
KEPT = frozenset(
    (
        "ALLOWED_PORTS",
        "ALLOWED_PRIVATE_NETWORKS",
        "COMPRESS_TIMEOUT",
        "FETCH_CONNECT_TIMEOUT",
        "FETCH_PER_HOST",
        "FETCH_TIMEOUT",
        "JPEG_ENGINE",
        "MAX_FRAMES",
        "MAX_IMAGES_PER_JOB",
        "MAX_IMAGE_BYTES",
        "MAX_IMAGE_PIXELS",
        "MAX_PROCESS_MEMORY",
        "MAX_UPLOAD_BYTES",
        "METADATA",
        "MIN_QUALITY",
        "MIN_SCORE",
        "WORKER_PROCESSES",
    )
)


@contextmanager
def embedded_service(data_dir: Path, **settings: str) -> Iterator[str]:
    """Run `imgcompress serve` in `data_dir` on a free port of loopback; yield its URL.

    It ends with the block, or when this process is killed. What it prints is in service.log there.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The service of a killed run ends by itself.
    lock_installation(data_dir, "starting", STOP_SECONDS).close()
    port = free_port()
    url = local_url("127.0.0.1", port)
    log = data_dir / "service.log"
    installation = set(variables()) - KEPT
    environment = {name: text for name, text in os.environ.items() if name not in installation}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH")))
    )
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "imgcompress", "serve", "--stop-with-parent"],
            env=environment
            | {"DATA_DIR": str(data_dir), "HOST": "127.0.0.1", "PORT": str(port)}
            | settings,
            # A file .env of the folder that the command was called in is for another service.
            cwd=data_dir,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches this process alone, which then ends the service.
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, url, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > end:
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            raise click.ClickException(
                "The service did not start. Its last lines:\n  " + "\n  ".join(last)
            )
        time.sleep(0.1)
