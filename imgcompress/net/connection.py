"""Connections that are dialled only after their address was checked."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from ipaddress import ip_address
from typing import Any

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

from ..errors import NetworkError
from .addresses import Address, DialPolicy, literal_address, not_allowed, reason_to_block
from .deadline import current_deadline
from .head import HeadTooLarge, read_head

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
    """Opens TCP connections to addresses that the policy allows, and to no others."""

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
        reason = reason_to_block(address, self.policy)
        if reason:
            raise not_allowed(reason)

    def _resolve_in_time(self, host: str) -> Sequence[str]:
        """Ask the resolver in a separate thread, which is abandoned when the time is over."""
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
        code = "timeout" if isinstance(failure, TimeoutError) else "connect_failed"
        raise NetworkError(code, detail=f"connect: {failure}") from failure


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
        raise NetworkError(
            "dns_failed", detail=f"{self._host}: {self._error}", retryable=passing
        ) from self._error


# The errors of a connection that the server closed while it was idle: not one byte comes.
_DEAD = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class _Response(http.client.HTTPResponse):
    """An answer whose head is read by `read_head`; http.client does the rest."""

    def begin(self) -> None:
        """Read the head, as http.client does but for the parser of e-mails.

        That one takes as long as all the rest of a request that has no body.
        """
        whole = self.fp
        head = read_head(whole)
        self.fp = BufferedReader(BytesIO(head.first))
        try:
            version, self.status, reason = self._read_status()  # type: ignore[attr-defined]
            self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
            if self.version == 11 and not version.startswith("HTTP/1."):
                raise http.client.UnknownProtocol(version)
        except BaseException:
            whole.close()
            raise
        self.fp = whole
        self.code, self.reason = self.status, reason.strip()
        self.headers = self.msg = head.headers
        self.chunked = head.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = self._body_bytes()
        # Where a line was left out, the next answer comes over a connection of its own.
        unbounded = self.length is None and not self.chunked
        self.will_close = unbounded or self._check_close() or not head.intact  # type: ignore[attr-defined]
        if self.length == 0:
            # Nothing is left to be read before the next answer.
            self.fp = None  # type: ignore[assignment]
            whole.close()

    def _body_bytes(self) -> int | None:
        if self.status in (204, 304) or self.status < 200 or self._method == "HEAD":  # type: ignore[attr-defined]
            return 0
        try:
            length = -1 if self.chunked else int(self.headers.get("Content-Length", ""))
        except ValueError:
            return None
        return length if length >= 0 else None


class GuardedHTTPConnection(HTTPConnection):
    """A connection to a checked address, under the deadline of the thread that uses it.

    The error of anything that goes wrong before the answer's body is a NetworkError.
    """

    response_class = _Response

    def __init__(self, *args: Any, dialer: Dialer, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dialer = dialer
        self._answered = False
        self._repeatable: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def _new_conn(self) -> socket.socket:
        return self._dialer.dial(self._dns_host, self.port)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        reused = self._answered and self.sock is not None
        self._repeatable = ((method, url, *args), options) if reused and method == "GET" else None
        deadline = current_deadline()
        if deadline and self.sock is not None:
            deadline.watch(self.sock)
        super().request(method, url, *args, **options)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        try:
            response = self._response_of_live_connection()
        except TimeoutError as error:
            raise NetworkError("timeout", detail=f"head: {error}") from error
        except HeadTooLarge as error:
            too_large = NetworkError("head_too_large", str(error))
            too_large.answered = True
            raise too_large from error
        except (OSError, HTTPError, http.client.HTTPException, ValueError) as error:
            broken = NetworkError("connection_broken", detail=f"head: {error!r}")
            # A malformed answer is still an answer; a closed connection is not.
            broken.answered = not isinstance(error, OSError)
            raise broken from error
        self._answered = True
        return response

    def _response_of_live_connection(self) -> HTTPResponse:
        """Ask again, once and on a new connection, if the kept one had died in the meantime."""
        try:
            return super().getresponse()
        except _DEAD:
            if self._repeatable is None:
                raise
        args, options = self._repeatable
        self.close()
        self.request(*args, **options)
        return super().getresponse()

    def close(self) -> None:
        self._answered = False
        super().close()


class GuardedHTTPSConnection(GuardedHTTPConnection, HTTPSConnection):
    """The same over TLS; the certificate must be for the URL's host."""

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError as error:
            raise NetworkError("timeout", detail=f"TLS: {error}") from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            raise NetworkError("connect_failed", detail=f"TLS: {error!r}") from error
        except (ssl.SSLError, HTTPError, CertificateError, ValueError) as error:
            raise NetworkError("tls_invalid", detail=f"TLS: {error}") from error
