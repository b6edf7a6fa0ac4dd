"""Fetch an image: politely, within its limits, and from nowhere that the guard refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from io import BytesIO
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, urljoin

from urllib3 import BaseHTTPResponse

from ..errors import ImageError, NetworkError
from ..netguard import Deadline, DialPolicy, Session, exchange, origin_of
from .fetch_body import MinRate, copy_body, whole_length
from .fetch_cookies import Cookies
from .fetch_hosts import HostLimits
from .fetch_status import SourceStatus

HEADERS = {"Accept": "image/*,*/*;q=0.8"}
# Some proxies that change an answer on the way say so by 203.
ANSWERED = frozenset((HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION))
REDIRECTS = frozenset((301, 302, 303, 307, 308))
# An error page or a redirect's body up to this size is read to its end, to keep the connection.
DRAINED_BYTES = 64 * 1024

# Codes of the network that have another name as errors of an image.
IMAGE_CODES = {"timeout": "source_timeout", "connection_broken": "source_broken"}

# What may stand in a URL beside letters and digits (RFC 3986); all else is percent-encoded.
URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class FetchLimits:
    """What one fetch may take: seconds, bytes on the wire and decoded, bytes per second.

    The minimum rate counts from `rate_grace` seconds after the body began.
    """

    total_seconds: float
    connect_seconds: float
    max_bytes: int
    min_rate: float = 1024.0
    rate_grace: float = 10.0
    max_redirects: int = 5


@dataclass(frozen=True)
class Fetched:
    """What a URL gave; type and disposition are what the source says, and may be wrong.

    `data` is empty where the bytes went to a file.
    """

    data: bytes
    content_type: str | None
    final_url: str
    disposition: str | None = None


class _Request(NamedTuple):
    """What is sent for one image, to each host that it is redirected to."""

    headers: Mapping[str, str]
    cookies: Cookies
    # Where the bytes of the answer go.
    target: BinaryIO


class Fetcher:
    """Fetches images over one pooled session; any number of threads may share it."""

    def __init__(self, policy: DialPolicy, limits: FetchLimits, *, per_host: int,
                 session: Session | None = None) -> None:
        self.policy = policy
        self.limits = limits
        self.hosts = HostLimits(per_host)
        self.session = session or Session(policy, pool_size=per_host,
                                          connect_timeout=limits.connect_seconds)

    def fetch(self, url: str, owner: str = "", headers: Mapping[str, str] | None = None) -> Fetched:
        """Fetch an image for a job's owner, following redirects; `headers` stand before ours.

        Raise ImageError as fetch_to() does, and for an image that has no bytes.
        """
        body = BytesIO()
        fetched = self.fetch_to(body, url, owner, headers)
        if not body.tell():
            raise ImageError("not_an_image", "The URL returns an empty file (0 bytes)")
        return replace(fetched, data=body.getvalue())

    def fetch_to(self, target: BinaryIO, url: str, owner: str = "",
                 headers: Mapping[str, str] | None = None) -> Fetched:
        """Write what a URL gives to a file, following redirects; see fetch().

        Raise ImageError; where it is `retryable`, `retry_after` may say how many seconds the
        source asks to wait, 300 at most. HostBusy means that the attempt never began.
        """
        seconds = self.limits.total_seconds
        redirected = False
        request = _Request({**HEADERS, **(headers or {})}, Cookies(), target)
        try:
            for _ in range(self.limits.max_redirects + 1):
                with _as_image_errors():
                    origin = origin_of(url, self.policy)
                # Waiting for a free connection is no fault of the source, so its time is not
                # charged.
                with self.hosts.connection(origin.authority, self.limits.total_seconds, owner), \
                        Deadline(seconds) as deadline:
                    answer = self._ask(url, request, deadline)
                    seconds = deadline.remaining
                if isinstance(answer, Fetched):
                    return answer
                url, redirected = answer, True
        except ImageError as error:
            # The host of the image has answered, whatever the one does that it points to.
            error.answered = error.answered or redirected
            raise
        raise ImageError("too_many_redirects", f"More than {self.limits.max_redirects} redirects")

    def _ask(self, url: str, request: _Request, deadline: Deadline) -> Fetched | str:
        """Return what the URL gives, or the URL that it redirects to."""
        headers = {**request.headers, **request.cookies.header(url)}
        with _as_image_errors(), \
                exchange(self.session, "GET", url, deadline, headers=headers) as response:
            try:
                return self._take(url, request, response)
            except ImageError as error:
                error.answered = True
                raise

    def _take(self, url: str, request: _Request, response: BaseHTTPResponse) -> Fetched | str:
        status = response.status
        location = response.headers.get("Location")
        if status in ANSWERED or (status == HTTPStatus.PARTIAL_CONTENT
                                  and whole_length(response) is not None):
            rate = MinRate(self.limits.min_rate, self.limits.rate_grace)
            copy_body(response, request.target, self.limits.max_bytes, rate)
            return Fetched(b"", response.headers.get("Content-Type"), url,
                           response.headers.get("Content-Disposition"))
        _drain(response)
        if status in REDIRECTS and location:
            request.cookies.keep(url, response)
            return _joined(url, location)
        raise SourceStatus(status, response.headers.get("Retry-After"))


@contextmanager
def _as_image_errors() -> Iterator[None]:
    """Turn an error of the network into an error of the image."""
    try:
        yield
    except NetworkError as error:
        failed = ImageError(IMAGE_CODES.get(error.code, error.code), error.found,
                            detail=error.detail, retryable=error.retryable)
        failed.answered = error.answered
        raise failed from error


def _drain(response: BaseHTTPResponse) -> None:
    """Read a small body to its end, so that the connection can be kept.

    Below 300 the real answer may still be to come, and must not become that of the next request.
    """
    length = response.length_remaining
    if response.status >= 300 and length is not None and length <= DRAINED_BYTES:
        response.drain_conn()


def _joined(url: str, location: str) -> str:
    """Return the absolute URL of a Location header; the guard judges it when it is asked for."""
    # http.client reads headers as Latin-1, so these are the bytes that the server has written.
    target = quote(location.strip().encode("latin-1"), safe=URL_CHARACTERS)
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise ImageError("url_not_allowed", detail=f"Location: {error}") from error
