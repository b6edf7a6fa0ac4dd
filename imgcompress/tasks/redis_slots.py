"""Keep a worker on Redis from going deaf when its broker is away.

kombu counts the messages that a worker holds, and asks for another only while there is room. When
a message cannot be acknowledged because Redis is away, kombu 5.7 leaves it in the count, so a
worker whose tasks all end at such a moment never asks again, nor does it notice that its
connection is gone (seen; `QoS.ack` and `QoS.reject` in kombu/transport/redis.py).
"""

from __future__ import annotations

from kombu.transport import redis, virtual


class ForgettingQoS(redis.QoS):
    """Counts a message as gone once it was answered, whether Redis heard the answer or not."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Refuse a message."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


def free_slots_of_lost_messages() -> None:
    """Have every Redis connection of this process count as above."""
    redis.Channel.QoS = ForgettingQoS
