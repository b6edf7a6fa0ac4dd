"""The brokers under test: how each loses its messages, goes away and comes back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol
from urllib.parse import urlsplit

import redis
from amqp.exceptions import NotFound
from kombu import Connection

from imgcompress.cli.broker import _server as valkey_server
from imgcompress.worker.celery_app import QUEUES

from .proxy import Proxy
from tests.support.servers import fresh_broker
from tests.support.service import free_port


class Broker(Protocol):
    """A broker that a test may harm."""

    url: str

    def flush(self) -> None:
        """Lose every message."""

    def go_away(self) -> None:
        """Answer nobody."""

    def come_back(self) -> None:
        """Answer again, without what was in memory alone."""


class RedisServer:
    """A Redis server of the test's own, which keeps nothing on disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.come_back()

    def flush(self) -> None:
        """See Broker."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def go_away(self) -> None:
        """See Broker."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def come_back(self) -> None:
        """See Broker."""
        self._process = subprocess.Popen(
            [
                valkey_server(),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with redis.Redis.from_url(self.url) as client:
            while not _answers(client):
                time.sleep(0.05)


class RabbitQueues:
    """The queues of one installation on a RabbitMQ server that others use too."""

    def __init__(self, server: str, prefix: str, proxy: Proxy) -> None:
        self._server, self._prefix, self._proxy = server, prefix, proxy
        parts = urlsplit(server)
        login = parts.netloc.rpartition("@")[0]
        self.url = f"amqp://{login}@127.0.0.1:{proxy.port}{parts.path}"

    def flush(self) -> None:
        """See Broker."""
        with Connection(self._server) as connection:
            for queue in QUEUES:
                # A queue that is not there, as before its worker first came, ends the channel.
                with suppress(NotFound), connection.channel() as channel:
                    channel.queue_purge(f"{self._prefix}.{queue}")

    def go_away(self) -> None:
        """See Broker."""
        self._proxy.cut()

    def come_back(self) -> None:
        """See Broker; the messages that stood in the queues are lost."""
        self.flush()
        self._proxy.restore()


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Yield a Redis server, and end it."""
    server = RedisServer()
    try:
        yield server
    finally:
        server.go_away()


@contextmanager
def rabbit_queues(prefix: str) -> Iterator[RabbitQueues]:
    """Yield the queues that begin with `prefix`, and delete them."""
    with fresh_broker("rabbitmq", prefix) as url:
        parts = urlsplit(url)
        with Proxy(parts.hostname or "127.0.0.1", parts.port or 5672) as proxy:
            yield RabbitQueues(url, prefix, proxy)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
