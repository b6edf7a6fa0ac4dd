"""urllib3 connections that dial through the guard and answer with our errors."""

from __future__ import annotations

import http.client
import socket
import ssl
from io import BufferedReader, BytesIO
from typing import Any

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

from ..errors import NetworkError
from .deadline import current_deadline
from .dial import Dialer
from .head import HeadTooLarge, read_head

# How a connection looks that the server closed while it was idle: not one byte comes.
_DEAD = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class _Response(http.client.HTTPResponse):
    """An answer whose head is read by `read_head`; what follows from it is left to http.client."""

    def begin(self) -> None:
        whole = self.fp
        head = read_head(whole)
        self.fp = BufferedReader(BytesIO(head.framing))
        try:
            super().begin()
        except BaseException:
            whole.close()
            raise
        self.fp = whole
        self.headers = self.msg = head.headers
        # Where a line was left out, the next answer comes over a connection of its own.
        self.will_close = self.will_close or not head.intact


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
            # What is no answer in HTTP is an answer all the same; a connection that is cut is none.
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
