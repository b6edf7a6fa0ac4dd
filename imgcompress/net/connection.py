"""Connections that are dialled only after their address was checked, and end with a deadline."""

from __future__ import annotations

import http.client
import math
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from io import BufferedReader, BytesIO
from ipaddress import ip_address
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

from ..errors import NetworkError
from .addresses import Address, DialPolicy, literal_address, not_allowed, reason_to_block


class Deadline:
    """The wall-clock limit of this thread's work inside `with Deadline(seconds) as deadline:`.

    Every guarded connection that is used inside is shut when the time is over. A socket's timeout
    is per call, so a peer that sends a byte now and then evades it. Shutting the socket ends a
    blocked read at once, in TLS too; but the reader may mistake this for the regular end of the
    answer, so the deadline must be checked afterwards (`check`).
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ends = math.inf
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._outer: Deadline | None = None

    def __enter__(self) -> Deadline:
        self.ends = time.monotonic() + self.seconds
        self._outer, _thread.deadline = current_deadline(), self
        _watchdog.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _watchdog.discard(self)
        _thread.deadline = self._outer
        with self._lock:
            for watched in self._sockets:
                watched.close()
            self._sockets.clear()

    @property
    def passed(self) -> bool:
        """Return whether the time is over; data read after that cannot be trusted."""
        return time.monotonic() >= self.ends

    @property
    def remaining(self) -> float:
        """Return the seconds that are left, 0 at least."""
        return max(self.ends - time.monotonic(), 0.0)

    def check(self) -> None:
        """Raise NetworkError `timeout` if the time is over."""
        if self.passed:
            raise NetworkError("timeout", detail=f"not done within {self.seconds:g} s")

    def watch(self, sock: socket.socket) -> None:
        """Shut this socket when the time is over.

        A duplicate is kept: TLS detaches the descriptor from the first socket object, and the
        number of a closed descriptor may have been reused by then.
        """
        watched = socket.socket(sock.family, sock.type, sock.proto, os.dup(sock.fileno()))
        with self._lock:
            self._sockets.append(watched)
        if self.passed:
            self.shut()

    def shut(self) -> None:
        """Shut every watched socket, so that threads waiting for one wake up."""
        with self._lock:
            for watched in self._sockets:
                try:
                    watched.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # The peer closed it first.
                    pass


class _Watchdog:
    """The one thread of this process that shuts the sockets of passed deadlines.

    It sleeps until the earliest deadline and is woken only for an earlier one, so a deadline that
    is met costs only two set operations.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Deadline] = set()
        self._wakes = math.inf
        self._started = False

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.add(deadline)
            if deadline.ends < self._wakes:
                self._wakes = deadline.ends
                self._changed.notify()
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def discard(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.discard(deadline)

    def _run(self) -> None:
        while True:
            for deadline in self._wait():
                deadline.shut()

    def _wait(self) -> list[Deadline]:
        """Sleep until a deadline may have passed; return those that have."""
        with self._changed:
            now = time.monotonic()
            if self._wakes > now:
                self._changed.wait(min(self._wakes - now, threading.TIMEOUT_MAX))
            now = time.monotonic()
            passed = [deadline for deadline in self._running if deadline.ends <= now]
            self._running.difference_update(passed)
            self._wakes = min((deadline.ends for deadline in self._running), default=math.inf)
            return passed


class _ThreadState(threading.local):
    deadline: Deadline | None = None


_thread = _ThreadState()
_watchdog = _Watchdog()


def current_deadline() -> Deadline | None:
    """Return the innermost deadline of this thread, if there is one."""
    return _thread.deadline


def _replace_watchdog() -> None:
    """Forget the parent's thread: it does not exist in a forked child."""
    global _watchdog
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_replace_watchdog)


# All status and header lines of an answer together, interim answers included.
MAX_HEAD_BYTES = 128 * 1024
MAX_HEADERS = 200

# 101 is no interim answer: another protocol follows it.
_INTERIM = re.compile(rb"HTTP/1\.\d[ \t]+1(?!01)\d\d(?!\d)")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The headers that set the end of the body.
_LENGTH = frozenset((b"content-length", b"transfer-encoding"))
_NO_LETTER = re.compile(rb"[^a-z]+")


class HeadTooLarge(HTTPException):
    """The head of an answer has more lines or bytes than are read."""


class Head(NamedTuple):
    """The head of an answer, its first line as it came."""

    first: bytes
    headers: HTTPMessage
    # Whether each line was a header.
    intact: bool


def read_head(lines: BinaryIO) -> Head:
    """Read the head of the real answer, whatever interim answers come before it.

    `http.client` accepts 100 headers of 64 KiB, treats a line without a colon as the end of the
    head, and an early hint as the answer. Here such a line is skipped, and the length of the body
    must be unambiguous: otherwise the rest of one answer would be read as the next one.

    Raise HeadTooLarge, or HTTPException for a head that breaks off or is ambiguous in length.
    """
    bounded = _Bounded(lines)
    while True:
        first = bounded.readline()
        # An answer that is not HTTP has no headers: the first line shows it.
        found = list(_header_lines(bounded)) if first.startswith(b"HTTP/") else []
        if not _INTERIM.match(first):
            return _parsed(first, found)


class _Bounded:
    """Reads lines, and no more than MAX_HEAD_BYTES of them."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._left = MAX_HEAD_BYTES

    def readline(self) -> bytes:
        line = self._lines.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise HeadTooLarge(f"The answer's headers have more than {MAX_HEAD_BYTES:,} bytes")
        return line


def _header_lines(lines: _Bounded) -> Iterator[bytes]:
    """Yield the lines up to the blank one, without their ends."""
    count = 0
    while line := lines.readline():
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if not line:
            return
        count += 1
        if count > MAX_HEADERS:
            raise HeadTooLarge(f"The answer has more than {MAX_HEADERS} headers")
        yield line
    raise HTTPException("the head of the answer breaks off")


def _parsed(first: bytes, lines: list[bytes]) -> Head:
    pairs: list[tuple[bytes, bytes]] = []
    intact = last_taken = True
    for line in lines:
        if line[0] in b" \t" and pairs and last_taken and _is_plain(line):
            # A header continued on a second line (RFC 9112, section 5.2).
            name, value = pairs[-1]
            pairs[-1] = name, value + b" " + line.strip(b" \t")
            continue
        pair = _pair(line)
        last_taken = pair is not None
        intact = intact and last_taken
        if pair is not None:
            pairs.append(pair)
    headers = HTTPMessage()
    for name, value in pairs:
        headers[name.decode("latin-1")] = value.decode("latin-1")
    return Head(first, headers, intact)


def _pair(line: bytes) -> tuple[bytes, bytes] | None:
    """Return the name and the value of a header, or None for a line that is no header.

    Raise HTTPException for one that another reader might treat as the length of the body.
    """
    name, colon, value = line.partition(b":")
    if colon and _NAME.fullmatch(name) and _is_plain(value):
        return name, value.strip(b" \t")
    letters = _NO_LETTER.sub(b"", line.lower())
    if any(_NO_LETTER.sub(b"", meant) in letters for meant in _LENGTH):
        raise HTTPException(f"the length of the body is in doubt: {line[:80]!r}")
    bare = name.rstrip(b" \t")
    if colon and _NAME.fullmatch(bare) and _is_plain(value):
        return bare, value.strip(b" \t")
    return None


def _is_plain(value: bytes) -> bool:
    """Return whether a value has no characters that some readers treat as the end of a line."""
    return b"\r" not in value and b"\0" not in value


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
        """Resolve the host, and reject it if any of its addresses is not allowed."""
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
        """Resolve in a separate thread, which is abandoned when the time is over."""
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


# The errors of a connection that the server closed while it was idle: no byte arrives.
_DEAD = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class _Response(http.client.HTTPResponse):
    """An answer whose head is read by `read_head`; http.client does the rest."""

    def begin(self) -> None:
        """Read the head, as http.client does but for the parser of e-mails."""
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
        # If a line was skipped, the connection is not reused.
        unbounded = self.length is None and not self.chunked
        self.will_close = unbounded or self._check_close() or not head.intact  # type: ignore[attr-defined]
        if self.length == 0:
            # No body is left to read before the next answer.
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

    All errors before the answer's body are NetworkErrors.
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
        """Repeat the request once, on a new connection, if the kept one had died meanwhile."""
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
