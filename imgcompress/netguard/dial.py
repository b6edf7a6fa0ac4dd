"""Resolve a host once, check every answer, and connect to a checked address."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ..errors import NetworkError
from .addresses import Address, refusal
from .deadline import current_deadline
from .policy import DialPolicy
from .urls import literal_address, not_allowed

# Return the addresses of a host as texts; raise socket.gaierror.
Resolve = Callable[[str], Sequence[str]]

# The least time for one of several addresses, as in Go's net.Dialer.
MIN_SECONDS_PER_ADDRESS = 2.0


def system_resolver(host: str) -> list[str]:
    """Return the addresses of a host, the preferred first (RFC 6724)."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in answers]


@dataclass(frozen=True)
class Dialer:
    """Opens TCP connections to what the policy allows, and to nothing else."""

    policy: DialPolicy
    connect_timeout: float
    resolve: Resolve = system_resolver

    def dial(self, host: str, port: int) -> socket.socket:
        """Return a connected socket, watched by this thread's deadline.

        Raise NetworkError `url_not_allowed`, `dns_failed`, `connect_failed` or `timeout`.
        """
        addresses = self._checked_addresses(host, port)
        sock = self._connect_to_first(addresses, port)
        try:
            self._check(ip_address(sock.getpeername()[0]))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            deadline = current_deadline()
            if deadline:
                deadline.watch(sock)
        except OSError as error:
            sock.close()
            raise NetworkError("connect_failed", detail=str(error)) from error
        except BaseException:
            sock.close()
            raise
        return sock

    def _checked_addresses(self, host: str, port: int) -> list[Address]:
        """Resolve the host, and refuse it if any of the answers is refused."""
        literal = literal_address(host, port, self.policy)
        if literal:
            return [literal]
        addresses = [ip_address(text) for text in self._resolve_in_time(host)]
        if not addresses:
            raise NetworkError("dns_failed", detail=f"{host} has no address", retryable=False)
        for address in addresses:
            self._check(address)
        return addresses

    def _check(self, address: Address) -> None:
        reason = refusal(address, self.policy)
        if reason:
            raise not_allowed(reason)

    def _resolve_in_time(self, host: str) -> Sequence[str]:
        """Ask the resolver in a thread of its own, which is left behind when the time is over."""
        lookup = _Lookup(self.resolve, host)
        deadline = current_deadline()
        lookup.start()
        lookup.join(deadline.remaining if deadline else None)
        if deadline:
            deadline.check()
        return lookup.addresses()

    def _connect_to_first(self, addresses: list[Address], port: int) -> socket.socket:
        """Try the addresses in turn, sharing the time between them."""
        deadline = current_deadline()
        allowed = deadline.remaining if deadline else self.connect_timeout
        ends = time.monotonic() + min(allowed, self.connect_timeout)
        failure: OSError = TimeoutError("no time left to connect")
        for left in range(len(addresses), 0, -1):
            remaining = ends - time.monotonic()
            if remaining <= 0:
                break
            try:
                share = max(remaining / left, min(remaining, MIN_SECONDS_PER_ADDRESS))
                return socket.create_connection((str(addresses[-left]), port), share)
            except OSError as error:
                failure = error
        raise _connect_fault(failure) from failure


def _connect_fault(failure: OSError) -> NetworkError:
    code = "timeout" if isinstance(failure, TimeoutError) else "connect_failed"
    return NetworkError(code, detail=f"connect: {failure}")


class _Lookup(threading.Thread):
    """One DNS lookup: the C library's cannot be interrupted, only abandoned."""

    def __init__(self, resolve: Resolve, host: str) -> None:
        super().__init__(name="lookup", daemon=True)
        self._resolve = resolve
        self._host = host
        self._found: Sequence[str] = ()
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._found = self._resolve(self._host)
        except Exception as error:
            self._error = error

    def addresses(self) -> Sequence[str]:
        """Return the answers. Raise NetworkError `dns_failed`; final unless the resolver failed."""
        if self._error is None:
            return self._found
        if not isinstance(self._error, (OSError, UnicodeError)):
            raise self._error
        passing = getattr(self._error, "errno", None) == socket.EAI_AGAIN
        raise NetworkError("dns_failed", detail=f"{self._host}: {self._error}",
                           retryable=passing) from self._error
