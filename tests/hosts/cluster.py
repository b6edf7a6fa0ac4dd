"""The service on several machines: the web server here, workers on hosts of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from ..faults.installation import QUICK, Installation
from ..faults.proxy import Proxy
from .network import NETWORK, Network, network_or_skip
from tests.support.buckets import Bucket, s3_server
from tests.support.databases import fresh_database, migrate
from tests.support.servers import fresh_broker
from tests.support.service import ROOT, START_SECONDS, wait_until

HOSTS = ("a", "b")
# What a host reaches at another address than this machine does, for its loopback is its own.
SHARED = ("DATABASE_URL", "CELERY_BROKER_URL", "STORAGE_ENDPOINT")
# The commands of docs/operations.md.
CELERY = (sys.executable, "-m", "celery", "-q", "-A", "wsgi:celery_app")
WEB = (sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "-w", "1", "wsgi:app")


class Cluster(Installation):
    """An installation whose every process is started by its plain command."""

    def __init__(self, data_dir: Path, network: Network, **settings: str) -> None:
        super().__init__(
            data_dir, **settings, ALLOWED_PRIVATE_NETWORKS=f"127.0.0.0/8,{NETWORK}.0.0/16"
        )
        self.network = network
        self.origin_address = network.address
        self._doors = ExitStack()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start everything and wait until the web server and both workers are there."""
        queue = f"{self.environment['QUEUE_PREFIX']}.".__add__
        self.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(self.environment["DATABASE_URL"], self.data_dir)
        self.process = self._run(*WEB)
        self._run(
            *CELERY,
            "worker",
            "-n",
            "deliveries@here",
            "-P",
            "threads",
            "-c",
            "8",
            "-Q",
            f"{queue('deliveries')},{queue('recovery')}",
            "-l",
            "WARNING",
        )
        self._run(*CELERY, "beat", "-l", "WARNING")
        shared = {name: self._led_through(self.environment[name]) for name in SHARED}
        for host in HOSTS:
            self._run(
                *self.network.command(host),
                *CELERY,
                "worker",
                "-n",
                f"worker@{host}",
                "-Q",
                queue("images"),
                "-c",
                "1",
                "-l",
                "INFO",
                **shared,
            )
        wait_until(
            lambda: self.answers() and self._workers_are_ready(),
            2 * START_SECONDS,
            lambda: self.log,
        )

    def stop(self) -> None:
        """End everything, at once: nothing is asked of a graceful end here."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._doors.close()
        self._engine.dispose()

    def _run(self, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment | settings,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _workers_are_ready(self) -> bool:
        return all(f"worker@{host} ready" in self.log for host in HOSTS)

    def _led_through(self, url: str) -> str:
        """Return the address at which the hosts reach a server that listens on loopback alone."""
        parts = urlsplit(url)
        door = self._doors.enter_context(
            Proxy(parts.hostname or "", parts.port or 0, address=self.network.address)
        )
        login, _, _ = parts.netloc.rpartition("@")
        netloc = f"{login}{'@' if login else ''}{self.network.address}:{door.port}"
        return urlunsplit(parts._replace(netloc=netloc))


@contextmanager
def cluster(broker: str, folder: Path, **settings: str) -> Iterator[Cluster]:
    """Yield a running cluster on Postgres, S3 and a broker: "redis" or "rabbitmq"."""
    with ExitStack() as stack:
        network = stack.enter_context(network_or_skip(*HOSTS))
        prefix = f"test-{uuid4().hex[:8]}"
        bucket = Bucket(stack.enter_context(s3_server()))
        stack.callback(bucket.close)
        servers = {
            "DATABASE_URL": stack.enter_context(fresh_database()),
            "CELERY_BROKER_URL": stack.enter_context(fresh_broker(broker, prefix)),
            "QUEUE_PREFIX": prefix,
            **bucket.environment,
        }
        running = Cluster(folder / "var", network, **{**servers, **QUICK, **settings})
        yield stack.enter_context(running)
