"""The HTTP client for all requests, for images and webhooks.

It does not use requests, which is built on the same pools: its cookies, proxies, .netrc, hooks and
redirects, which are not needed here, take a third of the time of a fetch.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from operator import itemgetter
from typing import Any

import certifi
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    HTTPSConnectionPool,
    PoolManager,
    Retry,
    Timeout,
)
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.util import Url, parse_url

from .. import __version__
from ..errors import ImgcompressError, NetworkError
from .addresses import DialPolicy, check_url, not_allowed
from .connection import (
    Deadline,
    Dialer,
    GuardedHTTPConnection,
    GuardedHTTPSConnection,
    Resolve,
    system_resolver,
)


def parse_retry_after(value: str | None, *, now: datetime, limit: float) -> float | None:
    """Return how many seconds a server asks to wait, `limit` at most; None if it does not say.

    Both forms of RFC 9110, section 10.2.3: a number of seconds, or a date. `now` is aware.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Numbers with more digits exceed every limit, and take time to parse.
        return min(float(text[:9]), limit)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), limit)


HEADERS = {"User-Agent": f"imgcompress/{__version__}", "Accept-Encoding": "identity"}
# The hosts whose idle connections are kept.
POOLED_HOSTS = 64
_NO_RETRIES = Retry(False)


class Session:
    """Sends requests that the policy allows, over kept connections; threads may share it.

    `pool_size` is the number of idle connections kept for each host, `connect_timeout` is in
    seconds.
    """

    def __init__(
        self,
        policy: DialPolicy,
        *,
        pool_size: int,
        connect_timeout: float,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = system_resolver,
    ) -> None:
        self.policy = policy
        self._pools = _GuardedPools(
            Dialer(policy, connect_timeout, resolve),
            num_pools=POOLED_HOSTS,
            maxsize=pool_size,
            ssl_context=tls or default_tls(),
        )

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        stall_seconds: float,
    ) -> BaseHTTPResponse:
        """Send a request and return the answer, its body unread; a redirect is an answer.

        Raise NetworkError for a failure before the answer, or errors of urllib3.
        """
        asked = _parsed(url)
        check_url(asked.url, self.policy)
        pool = self._pools.connection_from_host(asked.host, asked.port, asked.scheme or "")
        return pool.urlopen(
            method,
            asked.request_uri,
            body,
            {**HEADERS, **headers},
            _NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(read=stall_seconds),
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._pools.clear()


def default_tls() -> ssl.SSLContext:
    """Return a context that trusts the public authorities and those this machine trusts."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _parsed(url: str) -> Url:
    """Return a parsed URL for the request. Raise NetworkError `url_not_allowed` for others."""
    try:
        return parse_url(url)
    except LocationValueError as error:
        raise not_allowed(str(error)) from error


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = GuardedHTTPSConnection


class _GuardedPools(PoolManager):
    """Pools of guarded connections, which share one dialer."""

    def __init__(self, dialer: Dialer, **options: Any) -> None:
        super().__init__(**options)
        self._dialer = dialer
        self.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        # Everything else is the same for every pool.
        origin: Any = itemgetter("scheme", "host", "port")
        self.key_fn_by_scheme = {"http": origin, "https": origin}

    def _new_pool(self, *args: Any, **options: Any) -> HTTPConnectionPool:
        pool = super()._new_pool(*args, **options)
        pool.conn_kw["dialer"] = self._dialer
        return pool


# The most bytes read at once, and so the most by which a limit can be exceeded.
CHUNK_BYTES = 128 * 1024
# A peer that sends nothing for this many seconds is considered gone.
STALL_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """The answer of a server; the body is cut at the caller's limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    session: Session,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    max_answer_bytes: int = 4096,
) -> Answer:
    """Send a POST on a new connection and return the answer, even if it is a redirect.

    `seconds` is the limit for everything, from DNS to the last byte. Raise NetworkError if no
    answer comes in time; one whose body breaks off still counts as an answer.
    """
    with Deadline(seconds) as deadline:
        with exchange(
            session,
            "POST",
            url,
            deadline,
            headers={**headers, "Connection": "close"},
            body=body,
            stall_seconds=seconds,
        ) as response:
            body = _beginning(response, deadline, max_answer_bytes)
            return Answer(response.status, response.headers, body)


@contextmanager
def exchange(
    session: Session,
    method: str,
    url: str,
    deadline: Deadline,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    stall_seconds: float = STALL_SECONDS,
) -> Iterator[BaseHTTPResponse]:
    """Send a request inside `deadline` and yield the answer, its body unread.

    A peer that sends nothing for `stall_seconds` is given up earlier than the deadline. The
    connection is kept for the next request if the body was read to its end, and closed if not.
    Raise NetworkError; when the deadline has passed, always `timeout`. Its `answered` says whether
    the peer had answered by then, even if the body failed.
    """
    answered = False
    try:
        with _explained(deadline):
            response = session.ask(
                method, url, headers=headers or {}, body=body, stall_seconds=stall_seconds
            )
            answered = True
            try:
                yield response
            finally:
                response.close()
    except NetworkError as error:
        error.answered = error.answered or answered
        raise


def wire_chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body as it comes, undecoded. Raise NetworkError if it stalls or breaks off."""
    read = response.read1
    try:
        while chunk := read(CHUNK_BYTES, decode_content=False):
            yield chunk
    except ReadTimeoutError as error:
        raise NetworkError("timeout", detail=f"body: {error}") from error
    except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
        raise NetworkError("connection_broken", detail=f"body: {error!r}") from error


@contextmanager
def _explained(deadline: Deadline) -> Iterator[None]:
    """Turn errors of urllib3 into NetworkError; after the deadline, always `timeout`."""
    try:
        yield
    except ImgcompressError:
        deadline.check()
        raise
    except (HTTPError, OSError) as error:
        deadline.check()
        raise NetworkError("connection_broken", detail=repr(error)) from error
    deadline.check()


def _beginning(response: BaseHTTPResponse, deadline: Deadline, limit: int) -> bytes:
    """Return the first bytes of the body, as far as they arrive."""
    body = bytearray()
    try:
        for chunk in wire_chunks(response):
            body += chunk
            if len(body) >= limit:
                break
    except NetworkError:
        deadline.check()
    return bytes(body[:limit])
