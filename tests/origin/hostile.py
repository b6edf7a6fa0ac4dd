"""Origins that misbehave, one way for each path."""

from __future__ import annotations

import socket
import ssl

from . import (
    bodies,
    heads,  # noqa: F401 (they register their behaviours)
    statuses,
)
from .behaviour import BEHAVIOURS, Exchange
from .server import OriginServer, read_request

# The first bytes of a JPEG, and enough of them to see that they came through.
IMAGE = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 16


class HostileOrigin(OriginServer):
    """Misbehaves as BEHAVIOURS says for the path; a query makes the same behaviour a new path."""

    def __init__(
        self,
        *,
        image: bytes = IMAGE,
        drip_seconds: float = 1.0,
        tls: ssl.SSLContext | None = None,
        hostname: str = "127.0.0.1",
    ) -> None:
        self.image = image
        self.drip_seconds = drip_seconds
        super().__init__(tls=tls, hostname=hostname)

    def serve(self, connection: socket.socket) -> None:
        earlier = 0
        with connection.makefile("rb") as lines:
            while (request := read_request(lines)) is not None:
                with self.lock:
                    count = self.hits[request.path]
                    self.hits[request.path] += 1
                path = request.path.partition("?")[0]
                behave = BEHAVIOURS.get(path, BEHAVIOURS["/status/404"])
                if not behave(Exchange(self, connection, request, earlier, count)):
                    return
                earlier += 1


class SilentOrigin(OriginServer):
    """Accepts and never says a word: with an https URL, a TLS handshake that stalls."""

    def serve(self, connection: socket.socket) -> None:
        self.closing.wait()
