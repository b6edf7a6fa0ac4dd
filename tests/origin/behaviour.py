"""What a way to misbehave is given, and where it is registered."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .server import Request, head

OK = "200 OK"
JPEG = "Content-Type: image/jpeg"


class Stage(Protocol):
    """What a behaviour may know of its origin."""

    image: bytes
    drip_seconds: float
    closing: threading.Event


@dataclass
class Exchange:
    """One request, and what a behaviour needs to misbehave about it."""

    origin: Stage
    connection: socket.socket
    request: Request
    # How many requests this connection, and this path, had before.
    earlier_here: int
    earlier_of_path: int

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send one byte in each `drip_seconds`."""
        for byte in data:
            self.connection.sendall(bytes([byte]))
            if self.origin.closing.wait(self.origin.drip_seconds):
                return

    def answer(self, body: bytes, *headers: str, status: str = OK) -> None:
        self.send(head(status, JPEG, f"Content-Length: {len(body)}", *headers) + body)

    def reset(self) -> None:
        """Close with RST: the linger time is 0."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


# A behaviour returns True if the connection goes on.
Behaviour = Callable[[Exchange], bool | None]
BEHAVIOURS: dict[str, Behaviour] = {}


def at(path: str) -> Callable[[Behaviour], Behaviour]:
    """Register a behaviour under its path."""

    def register(behaviour: Behaviour) -> Behaviour:
        BEHAVIOURS[path] = behaviour
        return behaviour

    return register
