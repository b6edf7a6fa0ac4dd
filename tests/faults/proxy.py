"""A TCP proxy that a test can cut and restore, to take a server away that others use too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from ..origin import OriginServer


class Proxy(OriginServer):
    """Leads each connection to a server; while it is cut, it refuses and ends all of them."""

    def __init__(self, host: str, port: int, *, address: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._mended = threading.Event()
        self._mended.set()
        super().__init__(address=address)

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        self._mended.clear()
        with self.lock:
            for connection in self._open:
                _reset(connection)

    def restore(self) -> None:
        """Let connections through again."""
        self._mended.set()

    def lead_to(self, port: int) -> None:
        """End every connection, and lead each new one to another server of this machine."""
        self.cut()
        self._target = ("127.0.0.1", port)
        self.restore()

    def serve(self, connection: socket.socket) -> None:
        if not self._mended.is_set():
            return
        with socket.create_connection(self._target, timeout=10) as server:
            server.settimeout(None)
            back = threading.Thread(target=_pump, args=(server, connection), daemon=True)
            back.start()
            _pump(connection, server, self.passing)
            back.join(10)

    def passing(self, data: bytes) -> None:
        """Take note of what a client sends."""


def _pump(
    source: socket.socket,
    target: socket.socket,
    passing: Callable[[bytes], None] = lambda data: None,
) -> None:
    try:
        while data := source.recv(65_536):
            passing(data)
            target.sendall(data)
    except OSError:
        pass
    finally:
        _reset(target)


def _reset(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
