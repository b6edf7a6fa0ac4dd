"""The web server's workers: gunicorn's threaded ones, with timeouts for stalled clients.

gunicorn reads heads and bodies without a time limit, and each occupies a thread. So there are many
threads (`deploy/gunicorn.conf.py`), and stalled requests time out.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from time import monotonic
from typing import Any, NamedTuple

from gunicorn.workers.gthread import ThreadWorker

# A request's head must arrive at once, and its body at 2 KiB/s or more.
HEAD_SECONDS = 20.0
READ_SECONDS = 30.0
READ_BYTES = 64 * 1024
# The kernel closes a connection whose client reads nothing for this long.
STALL_MILLISECONDS = 60_000

Environment = dict[str, Any]
Application = Callable[[Environment, Any], Iterable[bytes]]


class Wait(NamedTuple):
    """A thread that waits for its client on this socket, until this time at most."""

    until: float
    sock: socket.socket


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, whose threads wait for a client for a limited time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Keyed by the waiting thread.
        self.waits: dict[int, Wait] = {}

    def load_wsgi(self) -> None:
        """Load the application, and limit the wait for bodies like that for heads."""
        super().load_wsgi()
        self.wsgi: Application = _with_patience(self, self.wsgi)

    def handle(self, conn: Any) -> Any:
        """Handle one request, whose head must arrive in time."""
        with suppress(OSError, AttributeError):  # Only Linux has this option.
            conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_MILLISECONDS)
        with self.waiting(conn.sock, HEAD_SECONDS):
            return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handle a request whose head has arrived."""
        self.waits.pop(get_ident(), None)
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """Notify the master every second that this worker is alive, and end stalled requests."""
        super().notify()
        now = monotonic()
        for wait in list(self.waits.values()):
            if wait.until < now:
                # The thread then reads an end of file.
                with suppress(OSError):
                    wait.sock.shutdown(socket.SHUT_RD)

    @contextmanager
    def waiting(self, sock: socket.socket, seconds: float) -> Iterator[None]:
        """Limit the time that this thread waits for the client inside the block."""
        self.waits[get_ident()] = Wait(monotonic() + seconds, sock)
        try:
            yield
        finally:
            self.waits.pop(get_ident(), None)


class PatientInput:
    """The body of a request; each part must arrive in time."""

    def __init__(self, worker: PatientWorker, sock: socket.socket, body: Any) -> None:
        self._worker, self._sock, self._body = worker, sock, body

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, or all."""
        if size < 0:
            return b"".join(iter(lambda: self.read(READ_BYTES), b""))
        parts = bytearray()
        while len(parts) < size:
            with self._worker.waiting(self._sock, READ_SECONDS):
                part = self._body.read(min(size - len(parts), READ_BYTES))
            if not part:
                break
            parts += part
        return bytes(parts)

    def readline(self, size: int = -1) -> bytes:
        """Read a line."""
        with self._worker.waiting(self._sock, READ_SECONDS):
            line: bytes = self._body.readline(size) if size >= 0 else self._body.readline()
        return line


def _with_patience(worker: PatientWorker, app: Application) -> Application:
    def call(environ: Environment, start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"] = PatientInput(
            worker, environ["gunicorn.socket"], environ["wsgi.input"]
        )
        return app(environ, start_response)

    return call
