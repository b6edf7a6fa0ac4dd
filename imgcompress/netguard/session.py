"""The requests session through which everything outside is reached."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NoReturn

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry

from .connection import GuardedHTTPConnection, GuardedHTTPSConnection
from .dial import Dialer, Resolve, system_resolver
from .policy import DialPolicy
from .urls import check_url

USER_AGENT = "imgcompress/1.0"
# The hosts whose idle connections are kept.
POOLED_HOSTS = 64


def guarded_session(policy: DialPolicy, *, pool_size: int, connect_timeout: float,
                    tls: ssl.SSLContext | None = None,
                    resolve: Resolve = system_resolver) -> requests.Session:
    """Return a session that reaches only what the policy allows; threads may share it.

    It has no proxies, no cookies and no .netrc, and follows no redirect. `pool_size` is the number
    of idle connections kept for each host, `connect_timeout` is in seconds. What goes wrong
    before an answer's body is raised as ImageError.
    """
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    session.adapters.clear()
    adapter = _GuardedAdapter(Dialer(policy, connect_timeout, resolve), tls or default_tls(),
                              pool_size)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def default_tls() -> ssl.SSLContext:
    """Return a context that trusts the public authorities and those this machine trusts."""
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


class _Session(requests.Session):
    """A session that never follows a redirect by itself."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _GuardedAdapter(HTTPAdapter):
    """Sends requests over guarded connections, whatever the caller says of TLS or proxies."""

    def __init__(self, dialer: Dialer, tls: ssl.SSLContext, pool_size: int) -> None:
        self._dialer = dialer
        self._tls = tls
        super().__init__(pool_connections=POOLED_HOSTS, pool_maxsize=pool_size,
                         max_retries=Retry(False))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False,
                         **options: Any) -> None:
        self.poolmanager = _GuardedPools(self._dialer, num_pools=connections, maxsize=maxsize,
                                         ssl_context=self._tls)

    def send(self, request: requests.PreparedRequest, *args: Any,
             **options: Any) -> requests.Response:
        check_url(request.url or "", self._dialer.policy)
        return super().send(request, *args, **options)

    def build_connection_pool_key_attributes(
            self, request: requests.PreparedRequest, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, True)
        return host, {}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the pool as it is: its context has loaded the authorities, once for all."""

    def proxy_manager_for(self, proxy: Any, **options: Any) -> NoReturn:
        raise NotImplementedError("a proxy would dial where the guard does not see it")


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
