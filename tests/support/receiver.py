"""A webhook receiver: keeps what arrives, and gives the answers that a test has set."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from standardwebhooks import Webhook


class Arrival(NamedTuple):
    """One request that arrived."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Return the id of the event."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """Return the payload, unverified."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    def verified(self, secret: str) -> dict[str, Any]:
        """Return the payload; raise when the signature does not fit."""
        event: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return event


class Receiver:
    """A server on loopback.

    `answers` holds the next answers, each a status or a status and headers; then comes 200.
    `before_answer` is called with each arrival before it is answered.
    """

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.answers: list[int | tuple[int, dict[str, str]]] = []
        self.before_answer: Callable[[Arrival], None] = lambda _: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Receiver:
        serve = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        serve.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_answer(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next answer."""
        answer = self.answers.pop(0) if self.answers else 200
        return (answer, {}) if isinstance(answer, int) else answer

    def of(self, request_id: str) -> list[Arrival]:
        """Return what arrived for this job."""
        return [
            arrival for arrival in list(self.arrivals) if arrival.event["request_id"] == request_id
        ]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            arrival = Arrival(headers, body)
            receiver.arrivals.append(arrival)
            receiver.before_answer(arrival)
            status, extra = receiver.next_answer()
            self.send_response(status)
            for name, value in ({"Content-Length": "0"} | extra).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    return Handler
