"""Connections to Postgres: neither side waits forever for one that is gone without a word."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from imgcompress.ledger.session import reading

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems know fewer"),
]


@pytest.fixture
def ledger_url(postgres_ledger_url: str) -> str:
    """Return the URL of a fresh ledger on Postgres."""
    return postgres_ledger_url


@pytest.fixture
def wire(app: Flask) -> Iterator[socket.socket]:
    """Return the socket of a connection to the database."""
    with reading() as session:
        connection = session.connection().connection.dbapi_connection
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:  # type: ignore[union-attr]
            yield wire


def test_an_unresponsive_database_times_out(wire: socket.socket) -> None:
    assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    found = [
        wire.getsockopt(socket.IPPROTO_TCP, option)
        for option in (
            socket.TCP_KEEPIDLE,
            socket.TCP_KEEPINTVL,
            socket.TCP_KEEPCNT,
            socket.TCP_USER_TIMEOUT,
        )
    ]
    assert found == [10, 5, 3, 25_000]


def test_the_database_gives_up_a_transaction_that_falls_silent(app: Flask) -> None:
    with reading() as session:
        shown = session.scalar(text("SHOW idle_in_transaction_session_timeout"))
    assert shown == "10s"
