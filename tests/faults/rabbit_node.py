"""A RabbitMQ node of the test's own: its memory alarm, and its passwords."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from kombu import Connection

from .installation import installation
from .private import as_user, end, folder_of, program
from .scenarios import watch
from .verdict import Verdict, Watched, through_one
from tests.support.service import free_port, wait_until

USER = "rabbitmq"
BINARIES = "/usr/lib/rabbitmq/bin"
START_SECONDS = 300
ENOUGH_MEMORY = "1GB"


class RabbitNode:
    """A node in a folder of the user who runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._name = f"chaos-{uuid4().hex[:8]}@localhost"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "LANG": "C.UTF-8",
        }
        with (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*as_user(USER), program("rabbitmq-server", BINARIES)],
                env=self._environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        """Wait until connections are taken."""
        wait_until(
            self._answers,
            START_SECONDS,
            lambda: (self.folder / "server.log").read_text(errors="replace"),
        )

    def set_memory(self, bytes_: str) -> None:
        """Set how much memory the node may have; above it publishers are blocked."""
        self.control("set_vm_memory_high_watermark", "absolute", bytes_)

    def control(self, *words: str) -> None:
        """Give a command to the node."""
        subprocess.run(
            [*as_user(USER), program("rabbitmqctl", BINARIES), "-q", "-n", self._name, *words],
            env=self._environment,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End the node."""
        end(self._process)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the node has ended"
        with Connection(self.url, connect_timeout=2) as connection:
            try:
                connection.connect()
            except (OSError, *connection.connection_errors):
                return False
        return True


@contextmanager
def rabbit_node() -> Iterator[RabbitNode]:
    """Yield a running node, and end it."""
    with folder_of(USER) as folder:
        node = RabbitNode(folder)
        try:
            node.wait()
            yield node
        finally:
            node.stop()


def alarm(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Raise the memory alarm for a while: RabbitMQ keeps publishers waiting without a word."""
    with rabbit_node() as node:

        def harm(job: Watched) -> None:
            node.set_memory("1000")
            try:
                before = job.done()
                job.upload_meanwhile(202)
                job.expect_readiness("broker")
                watch(job, seconds)
                job.upload_meanwhile(202)
                job.expect(job.done() > before, "the job goes on meanwhile")
            finally:
                node.set_memory(ENOUGH_MEMORY)

        return _on(node, folder, images, seconds, harm, settings)


def wrong_password(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Change the password of the broker, end all connections, and change it back after a while."""
    with rabbit_node() as node:

        def harm(job: Watched) -> None:
            node.control("change_password", "guest", "another")
            node.control("close_all_connections", "the password has changed")
            before = job.done()
            job.upload_meanwhile(202)
            job.expect_readiness("broker")
            watch(job, seconds)
            job.expect(job.done() > before, "the job goes on meanwhile")
            node.control("change_password", "guest", "guest")

        return _on(node, folder, images, seconds, harm, settings)


def _on(
    node: RabbitNode,
    folder: Path,
    images: int,
    seconds: float,
    harm: Callable[[Watched], None],
    settings: dict[str, str],
) -> Verdict:
    with installation("embedded", folder, CELERY_BROKER_URL=node.url, **settings) as service:
        return through_one(service, images, seconds, harm)
