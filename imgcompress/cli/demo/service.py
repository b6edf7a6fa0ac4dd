"""The service as the demo runs it: `flask serve` with a data folder and a port of its own."""

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

from ..address import answers, free_port, local_url

START_SECONDS = 90.0
LOG_LINES = 15
# The demo must not touch the installation that the settings of this machine describe.
EMBEDDED = {name: "" for name in ("DATABASE_URL", "DB_HOST", "CELERY_BROKER_URL", "STORAGE_URL",
                                  "IMAGE_DELIVERY", "IMAGE_BASE_URL", "PUBLIC_BASE_URL",
                                  "ALLOWED_HOSTS")}


@contextmanager
def demo_service(data_dir: Path, origin_port: int) -> Iterator[str]:
    """Run the service, which may fetch from this machine's `origin_port`; yield its URL."""
    port = free_port()
    url = local_url("127.0.0.1", port)
    log = data_dir / "service.log"
    environment = os.environ | EMBEDDED | {
        "DATA_DIR": str(data_dir), "HOST": "127.0.0.1", "PORT": str(port),
        "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8", "ALLOWED_PORTS": str(origin_port)}
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "serve", "--stop-with-parent"],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True)
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
            raise click.ClickException("The service did not start. Its last lines:\n  "
                                       + "\n  ".join(last))
        time.sleep(0.1)
