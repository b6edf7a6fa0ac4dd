"""A broker that is up but unusable: unreadable messages, no memory, another password."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import redis
from kombu import Connection, Exchange, Producer

from .brokers import redis_server
from .installation import installation
from .rabbit_node import rabbit_node
from .scenarios import watch
from .verdict import Verdict, Watched, catalogue_of, through_one
from tests.support.databases import fresh_database

# Broken text, other formats, and messages of Celery that are not for this version.
BODIES = (
    b"",
    b"\0\xff\xfe",
    b"{",
    b"null",
    b"[[], {}, {}]",
    b'"text"',
    b"[" * 5000,
    b"x" * 100_000,
)
# What is no envelope of kombu's.
RAW = (
    b"{}",
    b'{"body": "?"}',
    b"not JSON",
    b"\xff",
    b"[]",
    b"null",
    b'{"properties": {"delivery_tag": "a", "body_encoding": "base64"}, "body": "?"}',
    b'{"properties": {"delivery_tag": "b"}, "body": 1, "headers": {"task": "process_csv"}}',
)
PICKLE = b"\x80\x04cposix\nsystem\n(S'true'\ntR."
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def garbage(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Put broken, unknown and outdated messages into the queue of the images, on RabbitMQ."""
    with rabbit_node() as node:
        return _with_garbage(node.url, folder, images, seconds, settings, lambda queue: None)


def garbage_on_redis(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Put broken, unknown and outdated messages into the queue of the images, on Redis."""
    with redis_server() as server, redis.Redis.from_url(server.url) as client:
        return _with_garbage(
            server.url, folder, images, seconds, settings, lambda key: push_raw(client, key)
        )


def push_raw(client: redis.Redis, key: str) -> None:
    """Put into a queue on Redis what is no message at all, as another program does."""
    for body in RAW:
        client.lpush(key, body)


def _with_garbage(
    url: str,
    folder: Path,
    images: int,
    seconds: float,
    settings: dict[str, str],
    push_raw: Callable[[str], None],
) -> Verdict:
    prefix = f"test-{uuid4().hex[:8]}"

    def harm(job: Watched) -> None:
        done = job.service.submit(catalogue_of(job.origin, 1))
        job.service.finished(done)
        for queue in ("images", "deliveries", "recovery"):
            publish_unreadable(url, prefix, queue, done, job.request_id)
        push_raw(f"{prefix}:{prefix}.images")
        before = job.done()
        watch(job, seconds)
        job.expect(job.done() > before, "the job goes on meanwhile")
        job.upload_meanwhile(202)

    with ExitStack() as stack:
        service = stack.enter_context(
            installation(
                "embedded",
                folder,
                DATABASE_URL=stack.enter_context(fresh_database()),
                CELERY_BROKER_URL=url,
                QUEUE_PREFIX=prefix,
                **settings,
            )
        )
        return through_one(service, images, seconds, harm)


def publish_unreadable(url: str, prefix: str, queue: str, done: str, running: str) -> None:
    """Send what is broken, and messages of earlier and later versions, to one queue.

    Some of them name a job that is `done`, or one that is `running`.
    """
    options = {"global_keyprefix": f"{prefix}:"} if url.startswith("redis") else {}
    exchange = Exchange(prefix, type="direct", durable=True)
    with Connection(url, transport_options=options) as broker, broker.channel() as channel:
        producer = Producer(channel, exchange=exchange, routing_key=f"{prefix}.{queue}")

        def send(
            body: bytes, task: str | None = None, kind: str = "application/json", **headers: object
        ) -> None:
            if task is not None:
                headers |= {
                    "lang": "py",
                    "task": task,
                    "id": str(uuid4()),
                    "root_id": None,
                    "parent_id": None,
                    "group": None,
                }
            producer.publish(body, content_type=kind, content_encoding="utf-8", headers=headers)

        for body in BODIES:
            send(body)
            send(body, "process_csv")
        send(PICKLE, "process_csv", "application/x-python-serialize")
        send(_call(running, 0), "process_csv", "application/x-msgpack")
        for arguments in (
            (),
            (running,),
            (running, 0, 1),
            ("not-an-id", 0),
            (None, None),
            (running, "0"),
            (running, -1),
            (running, 10**30),
            (running, 99_999),
            (str(uuid4()), 0),
            (done, 0),
            (running, 0),
            ([], {}),
        ):
            send(_call(*arguments), "process_csv")
        # Names that no version has, or that an earlier one had.
        for task in ("imgcompress.worker.process_image", "deliver_webhook", "celery.chord", ""):
            send(_call(running), task)
        # A message that was meant for an hour ago, and one for next year.
        send(_call(running, 0), "process_csv", expires="2020-01-01T00:00:00+00:00")
        send(_call(running, 0), "process_csv", retries=99)


def _call(*arguments: object, **named: object) -> bytes:
    return json.dumps([arguments, named, EMBED]).encode()


def eviction(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have Redis evict messages for a while, as a cache that somebody else fills up does."""

    def harm(client: redis.Redis, job: Watched) -> None:
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", used + (256 << 10))
        for number in range(2000):
            client.set(f"other:{number}", b"." * 1000)
        evicted = int(client.info("stats")["evicted_keys"])
        job.expect(evicted > 0, "keys were evicted")
        job.upload_meanwhile(202)
        watch(job, seconds)
        client.config_set("maxmemory", 0)

    return _on_redis(folder, images, seconds, harm, settings)


def redis_full(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have Redis refuse all writes for want of memory for a while."""

    def harm(client: redis.Redis, job: Watched) -> None:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        before = job.done()
        job.upload_meanwhile(202)
        watch(job, seconds)
        job.expect(job.done() > before, "the job goes on meanwhile")
        client.config_set("maxmemory", 0)

    return _on_redis(folder, images, seconds, harm, settings)


def redis_password(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Give Redis another password for a while, and end all connections."""

    def harm(client: redis.Redis, job: Watched) -> None:
        client.config_set("requirepass", "another")
        client.execute_command("AUTH", "another")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        before = job.done()
        job.upload_meanwhile(202)
        job.expect_readiness("broker")
        watch(job, seconds)
        job.expect(job.done() > before, "the job goes on meanwhile")
        client.config_set("requirepass", "")

    return _on_redis(folder, images, seconds, harm, settings)


def _on_redis(
    folder: Path,
    images: int,
    seconds: float,
    harm: Callable[[redis.Redis, Watched], None],
    settings: dict[str, str],
) -> Verdict:
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        # One connection, which stays, whatever happens to the others.
        client = stack.enter_context(
            redis.Redis.from_url(server.url, single_connection_client=True)
        )
        service = stack.enter_context(
            installation(
                "embedded",
                folder,
                DATABASE_URL=stack.enter_context(fresh_database()),
                CELERY_BROKER_URL=server.url,
                **settings,
            )
        )
        return through_one(service, images, seconds, lambda job: harm(client, job))
