"""An origin as it should be: HTTP/1.1, keep-alive, one answer for each path."""

from __future__ import annotations

import socket
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

from .server import OriginServer, Request, head, read_request

Answer = tuple[int, str, bytes]
JPEG_START = b"\xff\xd8"
NOT_FOUND: Answer = (404, "text/plain", b"There is nothing here.\n")


class PlainOrigin(OriginServer):
    """Serves `files`: path -> (status, content type, bytes), which a test may change at any time.

    `headers` adds headers to a path's answer; where an ETag or a Last-Modified among them is what
    the client has, the answer is 304, whatever happened to the bytes. With `distinct`, no two JPEGs
    are the same to the byte. `delay` is waited before each answer, `requests`
    keeps what was asked, `clients` counts the requests of each address, and `most_at_once` is the
    highest number of requests open together.
    """

    def __init__(
        self,
        files: Mapping[str, Answer] | None = None,
        *,
        delay: float = 0.0,
        distinct: bool = False,
        tls: ssl.SSLContext | None = None,
        hostname: str | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.files: dict[str, Answer] = dict(files or {})
        self.headers: dict[str, dict[str, str]] = {}
        self.delay = delay
        self.distinct = distinct
        self.requests: list[Request] = []
        self.clients: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        super().__init__(tls=tls, hostname=hostname, address=address)

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = connection.getpeername()[0]
        with connection.makefile("rb") as lines:
            while (request := read_request(lines)) is not None:
                self._enter(request, client)
                try:
                    if self.delay:
                        time.sleep(self.delay)
                    connection.sendall(self._answer(request))
                finally:
                    self._leave()

    def _enter(self, request: Request, client: str) -> None:
        with self.lock:
            self.clients[client] += 1
            self.hits[request.path] += 1
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def _leave(self) -> None:
        with self.lock:
            self._at_once -= 1

    def _answer(self, request: Request) -> bytes:
        status, content_type, body = self.files.get(request.path, NOT_FOUND)
        more = self.headers.get(request.path, {})
        if _has(request, "if-none-match", more.get("ETag")) or _has(
            request, "if-modified-since", more.get("Last-Modified")
        ):
            return head("304 Not Modified", *(f"{name}: {value}" for name, value in more.items()))
        if self.distinct and body.startswith(JPEG_START):
            body = commented(body, request.path)
        first = head(
            f"{status} {HTTPStatus(status).phrase}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in more.items()),
        )
        return first if request.method == "HEAD" else first + body


def commented(jpeg: bytes, text: str) -> bytes:
    """Return a JPEG with a comment, so that its bytes are those of no other one."""
    comment = text.encode()
    return JPEG_START + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + jpeg[2:]


def _has(request: Request, header: str, validator: str | None) -> bool:
    return validator is not None and request.headers.get(header) == validator
