"""Fetch a file: connections per host, redirects, cookies, status and body, all bounded.

Cookies last for one image, so no host sees those of another image or caller.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookiejar import CookieJar
from io import BytesIO
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import Request

from urllib3 import BaseHTTPResponse

from ..errors import ImageError, NetworkError
from ..shipped import SAMPLE_HOST, sample_file
from . import Deadline, DialPolicy, Session, exchange, origin_of, parse_retry_after
from .body import MinRate, copy_body, whole_length

# Temporary statuses: the caller tries again later. All others are final.
PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
MAX_RETRY_AFTER = 300.0


class SourceStatus(ImageError):
    """The source answered with a status that gives no image.

    `retry_after` is the pause in seconds that the source asked for, 300 at most, or None.
    """

    def __init__(self, http_status: int, retry_after: str | None = None) -> None:
        self.http_status = http_status
        passing = http_status in PASSING
        seconds = parse_retry_after(retry_after, now=datetime.now(UTC), limit=MAX_RETRY_AFTER)
        super().__init__(
            "source_status",
            _status_line(http_status),
            retryable=passing,
            retry_after=seconds if passing else None,
        )


def _status_line(http_status: int) -> str:
    """Describe a status with the standard phrase: the server's may contain anything."""
    try:
        return f"HTTP {http_status} {HTTPStatus(http_status).phrase}"
    except ValueError:
        return f"HTTP {http_status}"


# The number of hosts whose limit is kept; the least recently used one is dropped first.
REMEMBERED_HOSTS = 1024
# The pause in seconds before an image of a host with all connections in use is tried again.
BUSY_SECONDS = 5.0


class Deferred(ImageError):
    """The host is suspended: the attempt never began, and does not count."""

    def __init__(self, found: str = "", *, detail: str, retry_after: float) -> None:
        super().__init__("host_suspended", found, detail=detail, retry_after=retry_after)


class HostBusy(Deferred):
    """No connection to the host came free in time."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__(
            detail=f"no free connection to {host} in {seconds:g} s", retry_after=BUSY_SECONDS
        )


@dataclass
class _Share:
    """One owner's share of the connections to a host.

    Its limit is halved by each overload error, and raised by one after `limit` successes.
    """

    limit: float
    in_use: int = 0
    waiting: int = 0
    halved_at: float = 0.0
    served_at: int = 0

    @property
    def has_room(self) -> bool:
        """Return whether the owner may open one more connection, if the host has one left."""
        return self.in_use < int(self.limit)


class PerHostLimiter:
    """Shares each host's connections among the threads of a process, and among owners of jobs.

    The host has `per_host` in total. Each owner's limit depends on its own requests, so that an
    owner whose URLs overload the host slows down no other owner; of several that wait, the one
    served longest ago comes next.
    """

    def __init__(self, per_host: int) -> None:
        self.per_host = per_host
        self._freed = threading.Condition()
        self._hosts: OrderedDict[str, dict[str, _Share]] = OrderedDict()
        self._served = 0

    @contextmanager
    def connection(self, host: str, seconds: float, owner: str = "") -> Iterator[None]:
        """Hold one of the host's connections; raise HostBusy if none is free within `seconds`.

        An ImageError that passes through may halve the limit: a 429, a 503 or a timeout.
        """
        began = self._acquire(host, owner, seconds)
        try:
            yield
        except ImageError as error:
            self._release(host, owner, began, complained=is_complaint(error))
            raise
        except BaseException:
            self._release(host, owner, began)
            raise
        self._release(host, owner, began, succeeded=True)

    def limit(self, host: str, owner: str = "") -> int:
        """Return how many connections to this host may be open for an owner at the moment."""
        with self._freed:
            share = self._hosts.get(host, {}).get(owner)
            return int(share.limit) if share else self.per_host

    def _acquire(self, host: str, owner: str, seconds: float) -> float:
        with self._freed:
            share = self._share(host, owner)
            share.waiting += 1
            try:
                free = self._freed.wait_for(lambda: self._is_next(host, share), seconds)
            finally:
                share.waiting -= 1
            if not free:
                self._freed.notify_all()
                raise HostBusy(host, seconds)
            share.in_use += 1
            self._served += 1
            share.served_at = self._served
            return time.monotonic()

    def _is_next(self, host: str, share: _Share) -> bool:
        shares = self._hosts[host].values()
        return (
            share.has_room
            and sum(each.in_use for each in shares) < self.per_host
            and not any(
                each.waiting and each.has_room and each.served_at < share.served_at
                for each in shares
            )
        )

    def _release(
        self,
        host: str,
        owner: str,
        began: float,
        *,
        complained: bool = False,
        succeeded: bool = False,
    ) -> None:
        with self._freed:
            share = self._share(host, owner)
            share.in_use -= 1
            if complained and began >= share.halved_at:
                # Errors of requests that were running when the limit was halved count once.
                share.limit = max(share.limit / 2, 1.0)
                share.halved_at = time.monotonic()
            elif succeeded:
                share.limit = min(share.limit + 1 / share.limit, float(self.per_host))
            self._freed.notify_all()

    def _share(self, host: str, owner: str) -> _Share:
        if host not in self._hosts:
            self._forget_idle()
        shares = self._hosts.setdefault(host, {})
        self._hosts.move_to_end(host)
        return shares.setdefault(owner, _Share(float(self.per_host)))

    def _forget_idle(self) -> None:
        """Drop the least recently used host, unless it is in use or awaited."""
        if len(self._hosts) < REMEMBERED_HOSTS:
            return
        oldest, shares = next(iter(self._hosts.items()))
        if not any(share.in_use or share.waiting for share in shares.values()):
            del self._hosts[oldest]


def is_complaint(error: ImageError) -> bool:
    """Return whether an error means that the host is overloaded."""
    overloaded = isinstance(error, SourceStatus) and error.http_status in (429, 503)
    return overloaded or error.code == "source_timeout"


# Servers limit the size of headers; longer cookies are not sent.
MAX_COOKIE_CHARS = 8 * 1024


class Cookies:
    """The cookies set by the redirects of one image; each is sent to its own hosts only."""

    def __init__(self) -> None:
        # Few redirects set cookies, and few images are redirected.
        self._jar: CookieJar | None = None

    def keep(self, url: str, response: BaseHTTPResponse) -> None:
        """Store the cookies that the answer of a URL sets."""
        if "Set-Cookie" in response.headers:
            self._jar = self._jar or CookieJar()
            self._jar.extract_cookies(response, Request(url))  # type: ignore[arg-type]

    def header(self, url: str) -> dict[str, str]:
        """Return the header with the cookies for a URL, if there are any."""
        if self._jar is None:
            return {}
        request = Request(url)
        self._jar.add_cookie_header(request)
        cookie = request.get_header("Cookie")
        return {"Cookie": cookie} if cookie and len(cookie) <= MAX_COOKIE_CHARS else {}


HEADERS = {"Accept": "image/*,*/*;q=0.8"}
# Some proxies that modify an answer change its status to 203.
ANSWERED = frozenset((HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION))
REDIRECTS = frozenset((301, 302, 303, 307, 308))
# An error page or a redirect's body up to this size is read to its end, to keep the connection.
DRAINED_BYTES = 64 * 1024

# Codes of the network that have another name as image errors.
IMAGE_CODES = {"timeout": "source_timeout", "connection_broken": "source_broken"}

IF_NONE_MATCH, IF_MODIFIED_SINCE = "If-None-Match", "If-Modified-Since"
CONDITIONS = frozenset((IF_NONE_MATCH, IF_MODIFIED_SINCE))
# ETags have 10 to 40 characters as a rule; the ledger keeps one for each image.
MAX_VALIDATOR_CHARS = 128
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
# A date as RFC 9110 writes it.
_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")

# Characters allowed in a URL beside letters and digits (RFC 3986); others are percent-encoded.
URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class FetchLimits:
    """The limits of one fetch: seconds, bytes on the wire and decoded, bytes per second.

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
    """The result of a fetch; the disposition comes from the source, and may be wrong.

    `data` is empty if the bytes went to a file. The validator is an ETag, or else a
    Last-Modified, with which a later request can ask whether the image has changed.
    """

    data: bytes
    final_url: str
    disposition: str | None = None
    validator: str | None = None
    # Whether the source answered 304: the version of the request's validator is current.
    not_modified: bool = False

    def without_date(self) -> Fetched:
        """Return the result without a validator that is a date; see _Request.without_date()."""
        is_date = self.validator and not self.validator.endswith('"')
        return replace(self, validator=None) if is_date else self


class _Request(NamedTuple):
    """The request for one image, as sent to each host that it is redirected to."""

    headers: Mapping[str, str]
    cookies: Cookies
    # The file for the content, if any.
    target: BinaryIO

    def without_date(self) -> _Request:
        """Return the request after a redirect.

        The redirect may lead to another file than last time, and that one may be older.
        """
        kept = {name: value for name, value in self.headers.items() if name != IF_MODIFIED_SINCE}
        return self._replace(headers=kept)

    @property
    def is_conditional(self) -> bool:
        """Return whether the source may answer that nothing has changed."""
        return not CONDITIONS.isdisjoint(self.headers)


class Fetcher:
    """Fetches images over one pooled session; any number of threads may share it."""

    def __init__(
        self,
        policy: DialPolicy,
        limits: FetchLimits,
        *,
        per_host: int,
        session: Session | None = None,
    ) -> None:
        self.policy = policy
        self.limits = limits
        self.hosts = PerHostLimiter(per_host)
        self.session = session or Session(
            policy, pool_size=per_host, connect_timeout=limits.connect_seconds
        )

    def fetch(
        self,
        url: str,
        owner: str = "",
        headers: Mapping[str, str] | None = None,
        validator: str | None = None,
    ) -> Fetched:
        """Fetch an image for a job's owner, following redirects; `headers` override ours.

        With the `validator` of an earlier answer, an unchanged image is not fetched again. Raise
        ImageError as fetch_to() does, and for an empty image.
        """
        body = BytesIO()
        fetched = self.fetch_to(body, url, owner, {**(headers or {}), **condition(validator)})
        if not fetched.not_modified and not body.tell():
            raise ImageError("truncated_image", "The URL returns an empty file (0 bytes)")
        return replace(fetched, data=body.getvalue())

    def fetch_to(
        self, target: BinaryIO, url: str, owner: str = "", headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """Write the content of a URL to a file, following redirects; see fetch().

        Raise ImageError; if it is `retryable`, `retry_after` may say how many seconds the source
        asks to wait, 300 at most. HostBusy means that the attempt never began.
        """
        seconds = self.limits.total_seconds
        redirected = False
        request = _Request({**HEADERS, **(headers or {})}, Cookies(), target)
        try:
            for _ in range(self.limits.max_redirects + 1):
                with _as_image_errors():
                    origin = origin_of(url, self.policy)
                if origin.host == SAMPLE_HOST:
                    return _take_sample(url, target)
                # The source is not responsible for the wait for a free connection, so that time
                # is not charged.
                with (
                    self.hosts.connection(origin.authority, self.limits.total_seconds, owner),
                    Deadline(seconds) as deadline,
                ):
                    answer = self._ask(url, request, deadline)
                    seconds = deadline.remaining
                if isinstance(answer, Fetched):
                    return answer.without_date() if redirected else answer
                url, redirected = answer, True
                request = request.without_date()
        except ImageError as error:
            # The host of the image has answered, even if the target of its redirect does not.
            error.answered = error.answered or redirected
            raise
        raise ImageError("too_many_redirects", f"More than {self.limits.max_redirects} redirects")

    def _ask(self, url: str, request: _Request, deadline: Deadline) -> Fetched | str:
        """Return the content of the URL, or the URL that it redirects to."""
        headers = {**request.headers, **request.cookies.header(url)}
        with (
            _as_image_errors(),
            exchange(self.session, "GET", url, deadline, headers=headers) as response,
        ):
            try:
                return self._take(url, request, response)
            except ImageError as error:
                error.answered = True
                raise

    def _take(self, url: str, request: _Request, response: BaseHTTPResponse) -> Fetched | str:
        status = response.status
        location = response.headers.get("Location")
        if status in ANSWERED or (
            status == HTTPStatus.PARTIAL_CONTENT and whole_length(response) is not None
        ):
            rate = MinRate(self.limits.min_rate, self.limits.rate_grace)
            copy_body(response, request.target, self.limits.max_bytes, rate)
            return Fetched(
                b"", url, response.headers.get("Content-Disposition"), validator_of(response)
            )
        _drain(response)
        if status == HTTPStatus.NOT_MODIFIED and request.is_conditional:
            return Fetched(b"", url, validator=validator_of(response), not_modified=True)
        if status in REDIRECTS and location:
            request.cookies.keep(url, response)
            return _joined(url, location)
        raise SourceStatus(status, response.headers.get("Retry-After"))


def _take_sample(url: str, target: BinaryIO) -> Fetched:
    """Copy a sample file that this package ships with. Raise SourceStatus for any other name."""
    path = sample_file(urlsplit(url).path.removeprefix("/"))
    if path is None:
        raise SourceStatus(HTTPStatus.NOT_FOUND)
    target.write(path.read_bytes())
    return Fetched(b"", url)


def condition(validator: str | None) -> dict[str, str]:
    """Return the header of a conditional request with this validator."""
    if validator is None:
        return {}
    return {IF_NONE_MATCH if validator.endswith('"') else IF_MODIFIED_SINCE: validator}


def validator_of(response: BaseHTTPResponse) -> str | None:
    """Return the ETag of a response, or else its Last-Modified; None if neither is usable.

    A source that has both compares only the ETag (RFC 9110, 13.1.3).
    """
    etag = response.headers.get("ETag", "").strip()
    if len(etag) <= MAX_VALIDATOR_CHARS and _ETAG.fullmatch(etag):
        return etag
    date = response.headers.get("Last-Modified", "").strip()
    return date if _DATE.fullmatch(date) else None


@contextmanager
def _as_image_errors() -> Iterator[None]:
    """Turn an error of the network into an error of the image."""
    try:
        yield
    except NetworkError as error:
        failed = ImageError(
            IMAGE_CODES.get(error.code, error.code),
            error.found,
            detail=error.detail,
            retryable=error.retryable,
        )
        failed.answered = error.answered
        raise failed from error


def _drain(response: BaseHTTPResponse) -> None:
    """Read a small body to its end, so that the connection can be kept.

    Below 300 the real answer may still follow, and must not become that of the next request.
    """
    length = response.length_remaining
    if response.status < 300 or length is None or length > DRAINED_BYTES:
        return
    if length:
        response.drain_conn()
    else:
        response.release_conn()


def _joined(url: str, location: str) -> str:
    """Return the absolute URL of a Location header; it is checked when it is requested."""
    # http.client reads headers as Latin-1, so these are the bytes that the server sent.
    target = quote(location.strip().encode("latin-1"), safe=URL_CHARACTERS)
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise ImageError("url_not_allowed", detail=f"Location: {error}") from error
