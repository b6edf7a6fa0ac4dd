"""An origin of photos that costs little: it runs beside what is measured, on the same cores."""

from __future__ import annotations

import multiprocessing
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Thread

from tests.origin.plain import commented

_NUMBER = re.compile(rb"GET /(\d+)\.jpg ")
_BACKLOG = 256


class Origin:
    """Where the photos are: every number is another URL, and the photos come again and again."""

    def __init__(self, port: int) -> None:
        self._port = port

    def urls(self, images: int) -> list[str]:
        """Return `images` different URLs."""
        return [f"http://127.0.0.1:{self._port}/{number}.jpg" for number in range(images)]


@contextmanager
def serving(photos: Sequence[bytes], delay: float = 0.0) -> Iterator[Origin]:
    """Serve photos from a process of its own, each answer `delay` seconds after its request."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, photos, delay), daemon=True)
    process.start()
    try:
        yield Origin(ours.recv())
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection, photos: Sequence[bytes], delay: float) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        ready.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            Thread(target=_answer_all, args=(connection, photos, delay), daemon=True).start()


def _answer_all(connection: socket.socket, photos: Sequence[bytes], delay: float) -> None:
    """Answer the requests of one connection, which come one after the other and have no body."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while request := _request(connection):
            time.sleep(delay)
            match = _NUMBER.match(request)
            photo = b""
            if match:
                # The same content would be compressed once.
                photo = commented(photos[int(match[1]) % len(photos)], match[1].decode())
            status = b"200 OK" if match else b"404 Not Found"
            connection.sendall(
                b"HTTP/1.1 %s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n"
                b"\r\n" % (status, len(photo)),
                socket.MSG_MORE,
            )
            connection.sendall(photo)


def _request(connection: socket.socket) -> bytes:
    """Return a request's head, or nothing when the other side is gone."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        try:
            received = connection.recv(4096)
        except ConnectionError:
            return b""
        if not received:
            return b""
        request += received
    return request
