"""The real servers that tests use where they answer; with CI set they must."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection

from imgcompress.worker.celery_app import QUEUES

POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
REDIS = "redis://127.0.0.1:6379/0"
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"


def postgres_url() -> str:
    """Return the URL of an administrative PostgreSQL database, or skip."""
    return _answering("PostgreSQL", os.environ.get("TEST_DATABASE_URL", POSTGRES), 5432)


def redis_url() -> str:
    """Return the URL of a Redis server, or skip."""
    return _answering("Redis", os.environ.get("TEST_REDIS_URL", REDIS), 6379)


def rabbitmq_url() -> str:
    """Return the URL of a RabbitMQ server, or skip."""
    return _answering("RabbitMQ", os.environ.get("TEST_AMQP_URL", RABBITMQ), 5672)


def _answering(name: str, url: str, default_port: int) -> str:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or default_port), timeout=2).close()
    except OSError as error:
        message = (
            f"{name} does not answer at {parts.hostname}:{parts.port or default_port}: {error}"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return url


@contextmanager
def fresh_broker(kind: str, prefix: str) -> Iterator[str]:
    """Yield the URL of a broker ("redis" or "rabbitmq"); delete what begins with `prefix` after."""
    url = redis_url() if kind == "redis" else rabbitmq_url()
    try:
        yield url
    finally:
        _delete_keys(url, prefix) if kind == "redis" else _delete_queues(url, prefix)


def _delete_keys(url: str, prefix: str) -> None:
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


def _delete_queues(url: str, prefix: str) -> None:
    with Connection(url) as connection, connection.channel() as channel:
        for queue in QUEUES:
            channel.queue_delete(f"{prefix}.{queue}")
        channel.exchange_delete(prefix)
