"""Messages that no worker can read end no worker, and none of them comes again."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import redis
from kombu import Connection

from imgcompress.worker.celery_app import QUEUES

from ..faults.installation import SHAPES, Installation, installation
from ..faults.queues import publish_unreadable, push_raw
from ..faults.verdict import catalogue_of, photo_origin
from .conftest import SHAPES as MARKS
from tests.support.service import wait_until

WORKERS = ("worker@", "deliveries@")


@pytest.fixture(params=[pytest.param(shape, marks=MARKS[shape]) for shape in SHAPES[1:]])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Return an installation with a broker of each kind."""
    with installation(request.param, tmp_path_factory.mktemp("unreadable")) as running:
        yield running


def _messages(url: str, prefix: str) -> int:
    """Return how many messages stand in the queues, or are in the hands of workers."""
    if url.startswith("redis"):
        with redis.Redis.from_url(url) as client:
            return sum(client.llen(f"{prefix}:{prefix}.{queue}") for queue in QUEUES) + client.hlen(
                f"{prefix}:unacked"
            )
    with Connection(url) as connection, connection.channel() as channel:
        return sum(
            channel.queue_declare(f"{prefix}.{queue}", passive=True).message_count
            for queue in QUEUES
        )


def test_unreadable_messages_are_dropped(service: Installation) -> None:
    prefix, url = service.environment["QUEUE_PREFIX"], service.broker.url
    with photo_origin(20) as origin:
        done = service.submit(catalogue_of(origin, 1))
        service.finished(done)
        # Their queues are there, and are read.
        wait_until(
            lambda: all(f"{name}{socket.gethostname()} ready" in service.log for name in WORKERS),
            60,
            lambda: service.log,
        )
        workers = [service.main_of(name) for name in WORKERS]
        for queue in ("images", "deliveries", "recovery"):
            publish_unreadable(url, prefix, queue, done, done)
            if url.startswith("redis"):
                with redis.Redis.from_url(url) as client:
                    push_raw(client, f"{prefix}:{prefix}.{queue}")
        assert service.finished(service.submit(catalogue_of(origin, 20)))["status"] == "COMPLETED"
    wait_until(lambda: not _messages(url, prefix), 30, lambda: service.log)
    assert [service.main_of(name) for name in WORKERS] == workers
    assert "dropped" in service.log
