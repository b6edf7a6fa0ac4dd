"""Consume messages in spite of unreadable ones, and of a Redis that becomes unavailable.

Unreadable messages come from other programs that use the same queue, or from other versions of this
one. Celery and kombu end the worker over some of them, or return them to the queue; then the next
worker ends too. Dropping them costs nothing: the ledger has the state, and recovery publishes the
work that is left.

kombu counts the messages that a worker holds, and asks for another only while there is room. When
a message cannot be acknowledged because Redis is away, kombu 5.7 leaves it in the count, so a
worker whose tasks all end at such a moment never asks again, nor does it notice that its
connection is gone (seen; `QoS.ack` and `QoS.reject` in kombu/transport/redis.py).

While a broker cannot be reached, kombu tries again after 2 s, 4 s, 6 s and so on, up to 30 s, and
its worker does nothing meanwhile. So after a long absence a job would wait for half a minute more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker.consumer.consumer import Consumer as CeleryConsumer
from kombu.transport import redis, virtual

log = logging.getLogger(__name__)

REASON_CHARS = 200
# The pause between two attempts to connect to the broker.
CONNECT_PAUSE_SECONDS = 2.0
# Exceptions of Python for malformed data. kombu counts KeyError among the
# errors of a connection to Redis.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class ForgettingQoS(redis.QoS):
    """Counts a message as gone once it was answered, even if the answer did not reach Redis."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject a message."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


_read_from_redis = redis.Channel._brpop_read


def _read_or_drop(channel: Any, **options: Any) -> Any:
    """Read a message from Redis; anything else in the queue is dropped."""
    try:
        return _read_from_redis(channel, **options)
    except OSError:
        raise  # Some of these are ValueErrors too.
    except UNREADABLE as error:
        _log_dropped(error)
        return True


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Celery's consumer, which survives every message."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        redis.Channel.QoS = ForgettingQoS
        setattr(redis.Channel, "_brpop_read", _read_or_drop)
        super().__init__(*arguments, **options)

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once the broker can be reached."""
        pauses = dict.fromkeys(("interval_start", "interval_max"), CONNECT_PAUSE_SECONDS)
        conn.ensure_connection = partial(conn.ensure_connection, **pauses, interval_step=0)
        return super().ensure_connected(conn)

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Return the function that is called with each message."""
        receive = super().create_task_handler(*arguments, **options)

        def receive_or_drop(message: Any) -> None:
            try:
                receive(message)
            except OSError:
                raise
            except UNREADABLE as error:
                self._drop(message, error)

        return receive_or_drop

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop a message whose content cannot be read."""
        self._drop(message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a message whose content type is not allowed, or whose task is invalid."""
        self._drop(message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Drop a message that names no task."""
        self._drop(message, "it names no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Drop a message whose task this version does not have."""
        self._drop(message, f"there is no task {exc}")

    def _drop(self, message: Any, reason: object) -> None:
        _log_dropped(reason)
        if not message.acknowledged:
            message.reject_log_error(log, self.connection_errors)


def _log_dropped(reason: object) -> None:
    text = repr(reason) if isinstance(reason, Exception) else str(reason)
    log.warning("A message that this worker cannot read was dropped: %s", text[:REASON_CHARS])
