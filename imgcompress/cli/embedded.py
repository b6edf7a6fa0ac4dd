"""A complete service for one run, which only this machine can reach."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ..config import variables
from ..shipped import PACKAGE
from .local import answers, free_port, local_url, lock_installation

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
