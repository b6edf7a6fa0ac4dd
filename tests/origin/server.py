"""A threaded socket server whose every thread and socket ends with it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO, Self


@dataclass(frozen=True)
class Request:
    """What a client asked; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class OriginServer:
    """Listens on `address` and hands each connection to `serve` in a thread of its own.

    `hits` counts the requests of each path and `connections` what was accepted. With `tls` the
    server speaks HTTPS.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        hostname: str | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.hits: Counter[str] = Counter()
        self.connections = 0
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._tls = tls
        self._hostname = hostname or address
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((address, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def url(self, path: str = "/") -> str:
        """Return the absolute URL of a path."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._hostname}:{self.port}{path}"

    def serve(self, connection: socket.socket) -> None:
        """Speak with one client until it goes away."""
        raise NotImplementedError

    def close(self) -> None:
        """End every conversation and wait for the threads."""
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        with self.lock:
            for connection in self._open:
                _shut(connection)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self, run: object, *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._converse, connection)

    def _converse(self, connection: socket.socket) -> None:
        """Serve one connection; what a client does to it is no error of the test."""
        if self._tls:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self.lock:
            self._open.add(connection)
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            if not self.closing.is_set():
                self.serve(connection)
        except OSError:
            pass
        finally:
            with self.lock:
                self._open.discard(connection)
            connection.close()


def read_request(lines: BinaryIO) -> Request | None:
    """Read the head of a request, and its body if it has a length; None when the client left."""
    first = lines.readline(65_536).decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while line := lines.readline(65_536).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    lines.read(int(headers.get("content-length", 0)))
    return Request(first[0], first[1], headers)


def head(status: str, *headers: str) -> bytes:
    """Return the head of an answer."""
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode("latin-1")


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
