"""The session through which everything outside is reached: urllib3's pools behind the guard.

It goes without requests, which asks the same pools: what that does for cookies, proxies, .netrc,
hooks and redirects, which nobody wants here, takes a third of the time of a fetch.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
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
from urllib3.exceptions import LocationValueError
from urllib3.util import Url, parse_url

from .connection import GuardedHTTPConnection, GuardedHTTPSConnection
from .dial import Dialer, Resolve, system_resolver
from .policy import DialPolicy
from .urls import check_url, not_allowed

HEADERS = {"User-Agent": "imgcompress/1.0", "Accept-Encoding": "identity"}
# The hosts whose idle connections are kept.
POOLED_HOSTS = 64
_NO_RETRIES = Retry(False)


class Session:
    """Asks what the policy allows, over connections that are kept; threads may share it.

    `pool_size` is the number of idle connections kept for each host, `connect_timeout` is in
    seconds.
    """

    def __init__(self, policy: DialPolicy, *, pool_size: int, connect_timeout: float,
                 tls: ssl.SSLContext | None = None, resolve: Resolve = system_resolver) -> None:
        self.policy = policy
        self._pools = _GuardedPools(
            Dialer(policy, connect_timeout, resolve), num_pools=POOLED_HOSTS, maxsize=pool_size,
            ssl_context=tls or default_tls())

    def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None,
            stall_seconds: float) -> BaseHTTPResponse:
        """Send a request and return the answer, its body unread; a redirect is an answer.

        Raise NetworkError for what goes wrong before it, or what urllib3 raises.
        """
        asked = _parsed(url)
        check_url(asked.url, self.policy)
        pool = self._pools.connection_from_host(asked.host, asked.port, asked.scheme or "")
        return pool.urlopen(method, asked.request_uri, body, {**HEADERS, **headers}, _NO_RETRIES,
                            redirect=False, assert_same_host=False, preload_content=False,
                            decode_content=False, timeout=Timeout(read=stall_seconds))

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pools.clear()


def default_tls() -> ssl.SSLContext:
    """Return a context that trusts the public authorities and those this machine trusts."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _parsed(url: str) -> Url:
    """Return a URL as it is dialled. Raise NetworkError `url_not_allowed` where it is none."""
    try:
        return parse_url(url)
    except LocationValueError as error:
        raise not_allowed(str(error)) from error


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = GuardedHTTPSConnection


class _GuardedPools(PoolManager):
    """Pools of guarded connections, which are all given the same dialer."""

    def __init__(self, dialer: Dialer, **options: Any) -> None:
        super().__init__(**options)
        self._dialer = dialer
        self.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def _new_pool(self, *args: Any, **options: Any) -> HTTPConnectionPool:
        pool = super()._new_pool(*args, **options)
        pool.conn_kw["dialer"] = self._dialer
        return pool
