"""Connections to the broker with time limits: a broker that hangs counts as down.

kombu and py-amqp wait without a limit for a RabbitMQ that accepts a message and does not confirm
it. It does so while it is short of memory or disk space (https://www.rabbitmq.com/docs/alarms):
then it stops reading from connections that publish, and sends them `connection.blocked`
(https://www.rabbitmq.com/docs/connection-blocked).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import IrrecoverableConnectionError, RecoverableConnectionError
from celery import Celery
from kombu.connection import Connection
from kombu.messaging import Producer
from kombu.transport import pyamqp

# How long a publisher waits for each answer of the broker. An upload answers within 3 s.
ANSWER_SECONDS = 2.0
_AMQP = {"answer_seconds": ANSWER_SECONDS}
_REDIS = {"socket_timeout": ANSWER_SECONDS, "retry_on_timeout": False}


class BrokerBlocked(IrrecoverableConnectionError):  # type: ignore[misc]
    """RabbitMQ does not read from this connection, since it is short of memory or disk space.

    It is not recoverable in kombu's sense: kombu would reconnect, and RabbitMQ, which does not
    read from the old connections either, would not notice that they are closed.
    """


class _Connection(pyamqp.Connection):
    """A connection to RabbitMQ that stops waiting after a limit, or at once while it is blocked.

    `answer_seconds` is the limit for each answer, unless its user sets another.
    """

    def __init__(self, *args: Any, answer_seconds: float | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._answer_seconds = answer_seconds
        self._blocked = False

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Read one frame. Raise TimeoutError, or BrokerBlocked until RabbitMQ unblocks it."""
        try:
            done = super().blocking_read(self._answer_seconds if timeout is None else timeout)
        except TimeoutError:
            if not self._blocked:
                raise
        if self._blocked:
            self._on_blocked()
        return done

    def close(self, *args: Any, **options: Any) -> Any:
        """Close the connection; while it is blocked, RabbitMQ would not read the request."""
        return self.collect() if self._blocked else super().close(*args, **options)

    def _on_blocked(self) -> None:
        self._blocked = True
        raise BrokerBlocked(
            "RabbitMQ raised an alarm and accepts no messages: it is low on memory"
            " or disk (see rabbitmqctl status)"
        )

    def _on_unblocked(self) -> None:
        # Messages sent meanwhile are confirmed late; that must not be mistaken for a later
        # confirmation.
        self.collect()
        raise RecoverableConnectionError("RabbitMQ accepts messages again")


def limit_waits_for_rabbitmq() -> None:
    """Make every RabbitMQ connection of this process behave as above."""
    pyamqp.Transport.Connection = _Connection


class PublishingCelery(Celery):  # type: ignore[misc]
    """A Celery application whose publishing connections wait at most ANSWER_SECONDS."""

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        """Return a connection for publishing; see Celery."""
        amqp = (url or self.conf.broker_write_url or "").startswith("amqp")
        limits = (_AMQP if amqp else _REDIS) | (options.pop("transport_options", None) or {})
        connection: Connection = super().connection_for_write(
            url, transport_options=limits, **options
        )
        return connection


@contextmanager
def publisher(celery: Celery) -> Iterator[Producer]:
    """Lend a producer of this process. Its connection is dropped when something goes wrong."""
    producer = celery.producer_pool.acquire(block=True, timeout=ANSWER_SECONDS)
    try:
        yield producer
    except BrokerBlocked:
        raise  # Only this connection is notified when RabbitMQ accepts messages again.
    except BaseException:
        producer.connection.collect()
        raise
    finally:
        producer.release()


def check(producer: Producer) -> None:
    """Raise an error that says why the broker accepts no messages.

    RabbitMQ accepts connections in spite of an alarm, so this sends a message. Its routing key
    leads nowhere, so RabbitMQ confirms and drops it.
    """
    producer.connection.ensure_connection(max_retries=0, timeout=ANSWER_SECONDS)
    if producer.connection.transport.driver_type == "amqp":
        producer.publish(
            "", exchange="", routing_key="imgcompress.check", delivery_mode="transient"
        )
    else:
        producer.channel.client.ping()
