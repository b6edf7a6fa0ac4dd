"""Connections to the broker: one that is gone without a word is noticed."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from kombu import Connection

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.extensions import db

from tests.support.servers import rabbitmq_url, redis_url

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems know fewer")


def _keepalive(wire: socket.socket) -> list[int]:
    assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    return [
        wire.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ]


def _connection(broker: str, sqlite_url: str, folder: Path) -> Connection:
    app = create_worker_app(
        load_settings(None, database_url=sqlite_url, data_dir=folder, celery_broker_url=broker)
    )
    with app.app_context():
        db.engine.dispose()
    return app.extensions["celery"].connection_for_read()


@pytest.mark.redis
def test_an_unresponsive_redis_times_out(sqlite_url: str, tmp_path: Path) -> None:
    with _connection(redis_url(), sqlite_url, tmp_path) as connection:
        pool = connection.default_channel.client.connection_pool
        wire = pool.get_connection()
        assert _keepalive(wire._sock) == [10, 5, 3]
        pool.release(wire)


@pytest.mark.rabbitmq
def test_an_unresponsive_rabbitmq_times_out(sqlite_url: str, tmp_path: Path) -> None:
    with _connection(rabbitmq_url(), sqlite_url, tmp_path) as connection:
        assert _keepalive(connection.connection.transport.sock) == [10, 5, 3]
