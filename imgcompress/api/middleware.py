"""What every call passes before and after its view, in the order of this file.

Its log line, the host that it was sent to, the site that it comes from, the size of its body, its API
key, the rate of its caller; then the security headers and the ETag of its answer.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import partial, wraps
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from secrets import compare_digest
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from flask import Flask, Response, current_app, g, request
from flask_httpauth import HTTPTokenAuth, MultiAuth
from flask_limiter import ApplicationLimit, Limiter, RateLimitExceeded
from werkzeug.exceptions import RequestEntityTooLarge

from ..config import Settings
from ..extensions import current_settings
from ..file_names import ascii_name
from ..ledger.api_keys import owner_of
from ..links import parse_id
from ..logs import begin, bind
from ..metrics import HTTP
from .errors import (
    PROBLEM_TYPE,
    ApiKeyRequired,
    CrossSiteRequest,
    InvalidApiKey,
    MalformedHost,
    OperatorKeyRequired,
    TooManyRequests,
    UnknownHost,
    answer_error,
)

log = logging.getLogger(__name__)

CALL_ID_HEADER = "X-Request-ID"
CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Machines poll these so often that they would hide the other lines.
PROBES = frozenset({"health.healthz", "health.readyz", "metrics.metrics"})
NO_ROUTE = "none"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def log_calls(app: Flask) -> None:
    """Give each call an id, log its answer, and measure its time.

    It comes before all checks, so that rejected calls are logged too. The job of the call is bound
    to its log lines as `request_id`.
    """
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.call_began = time.monotonic()
    # The id set by a proxy or by the caller, if it is valid.
    sent = request.headers.get(CALL_ID_HEADER, "")
    g.call_id = sent if CALL_ID.fullmatch(sent) else uuid4().hex
    begin(call_id=g.call_id)
    job = parse_id((request.view_args or {}).get("request_id", ""))
    if job:
        bind(request_id=job)


def _end(response: Response) -> Response:
    """Log the answer, without the query, which may hold a signature."""
    seconds = time.monotonic() - g.call_began
    HTTP.observe(seconds, *_labels(response))
    response.headers[CALL_ID_HEADER] = g.call_id
    log.log(
        _level(response),
        "Answered",
        extra={
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "seconds": round(seconds, 4),
            "client": request.remote_addr,
        },
    )
    return response


def _labels(response: Response) -> tuple[str, str, str]:
    """Return the method, the route and the status; callers cannot make up new ones."""
    method = request.method if request.method in METHODS else "other"
    route = request.url_rule.rule if request.url_rule else NO_ROUTE
    return method, route, str(response.status_code)


def _level(response: Response) -> int:
    """Return the log level: low for probes, files of pages, and unchanged polls."""
    if response.status_code >= 500:
        return logging.WARNING
    quiet = (
        request.endpoint in PROBES
        or response.status_code == 304
        or str(request.endpoint).endswith(".static")
        # Viewers of images send far more requests than callers.
        or (request.blueprint == "image" and response.status_code < 400)
    )
    return logging.DEBUG if quiet else logging.INFO


ANY = "*"
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME_CHARS = 253
HOST = re.compile(
    rf"(?:(?P<name>{LABEL}(?:\.{LABEL})*)\.?|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[1-9][0-9]*))?",
    re.ASCII | re.IGNORECASE,
)
HIGHEST_PORT = 65535


def reject_unknown_hosts(app: Flask, settings: Settings) -> None:
    """Reject every call to a host that is not a name of this service.

    The owner of a name can point it to this machine while a browser has a page of that name open
    (DNS rebinding). For the browser, that page and this service are then the same site, so that
    its scripts may read all answers. They cannot change the name in the Host header, and an IP
    address cannot be rebound. It comes before all code that uses the host, such as in links.
    """
    app.before_request(partial(_check_hosts, known_hosts(settings)))


def known_hosts(settings: Settings) -> frozenset[str]:
    """Return the names in the settings; `.example.com` stands for all its subdomains."""
    urls = (settings.public_base_url, settings.image_base_url)
    own = (settings.host, *(urlsplit(url).hostname or "" for url in urls if url))
    return frozenset({".localhost", *(name.lower() for name in own), *settings.allowed_hosts})


def _check_hosts(known: frozenset[str]) -> None:
    """Raise MalformedHost or UnknownHost.

    Behind a trusted proxy both are checked: the host in its X-Forwarded-Host, and its own Host
    header, since a caller that bypasses the proxy can set X-Forwarded-Host.
    """
    sent = request.environ.get("HTTP_HOST")
    received = request.environ.get("werkzeug.proxy_fix.orig", {}).get("HTTP_HOST")
    hosts = {host for host in (sent, received) if host is not None}
    if not hosts and request.environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
        raise MalformedHost
    suffixes = tuple(entry for entry in known if entry.startswith("."))
    for name in map(_name_in, hosts):
        if name is None or ANY in known or name in known or f".{name}".endswith(suffixes):
            continue
        raise UnknownHost(name)


def _name_in(host: str) -> str | None:
    """Return the name in a Host header, or None for an IP address. Raise MalformedHost."""
    match = HOST.fullmatch(host)
    if not match or int(match["port"] or 1) > HIGHEST_PORT:
        raise MalformedHost
    try:
        address = IPv6Address(match["ipv6"]) if match["ipv6"] else ip_address(match["name"])
    except ValueError:
        address = None
    if address is None and (match["ipv6"] or len(match["name"]) > NAME_CHARS):
        raise MalformedHost
    return match["name"].lower() if address is None else None


# Pages of other sites must not change anything through a user's browser (CSRF). Browsers send the
# origin of a request: Sec-Fetch-Site by Fetch Metadata (W3C), and Origin (RFC 6454) with every
# request that can change something. Neither can be set by a page's script. Programs like curl send
# neither, and have no cookies that could be misused, so they are accepted. This is the primary
# defence; that the cookie with the key is SameSite=Strict is the second one.
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE = frozenset({"same-origin", "none"})


def reject_cross_site() -> None:
    """Reject a call that changes something and comes from the page of another site.

    Raise CrossSiteRequest.
    """
    if request.method in HARMLESS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        ours = site in OWN_SITE
    else:
        # Browsers send no Fetch Metadata to plain HTTP addresses other than this machine's.
        origin = request.headers.get("Origin")
        public = urlsplit(current_settings().public_base_url or "").netloc
        ours = origin is None or urlsplit(origin).netloc in {request.host, public} - {""}
    if not ours:
        raise CrossSiteRequest


UPLOAD = "upload.upload"
# The form of an upload has about ten fields besides the file, together shorter than this. Werkzeug
# uses the same limit for its buffer of the file, which needs 64 KiB and the data before.
MAX_FORM_PARTS = 50
MAX_FIELD_BYTES = 256 * 1024
# No other call needs more in its body than a key.
MAX_BODY_BYTES = 16 * 1024


def bound_bodies(app: Flask, settings: Settings) -> None:
    """Bound each body by the needs of its call, before it is read.

    Werkzeug limits only the fields of a multipart form: it reads all of an urlencoded one, where a
    field of two bytes takes a hundred in memory.
    """
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
        MAX_FORM_MEMORY_SIZE=MAX_FIELD_BYTES,
    )
    app.before_request(partial(_bound_body, settings.max_upload_bytes))


def _bound_body(max_upload_bytes: int) -> None:
    """Reject a body whose declared length is too large; others are bounded as they are read."""
    if request.endpoint == UPLOAD:
        request.max_content_length = max_upload_bytes
    if (request.content_length or 0) > (request.max_content_length or 0):
        raise RequestEntityTooLarge


# Users of the pages enter their key once. It is kept in a cookie, which holds the key itself and
# ends with the browser's session. No script can read it (HttpOnly) and no other site can send it
# (SameSite=Strict). It is not signed, because the key is its own proof; so the pages need no secret
# that several machines would have to share.
#
# Over TLS its name begins with `__Host-`. Browsers accept such a cookie only from an encrypted page
# of this very host, so that no other host of the same domain, and nobody on an unencrypted
# connection, can replace the key (draft-ietf-httpbis-rfc6265bis, "The "__Host-" Prefix").
COOKIE = "imgcompress_key"
COOKIE_OF_HOST = f"__Host-{COOKIE}"
# Blueprints that need no API key: images are shown in shop pages, under URLs that cannot be
# guessed. All others need a key.
PUBLIC = frozenset({"health", "image", "docs", "web"})
# Blueprints about the installation as a whole: a caller's key does not give access.
OPERATOR = frozenset({"metrics"})
# The key of the set of endpoints that return a page to people, for which no key is needed.
PAGES = "pages"
KEY_HEADER = "X-API-Key"
EMPTY_KEY = (
    "The API key header is empty, as happens when a variable in a script is empty. Put the"
    " key into it."
)

_bearer = HTTPTokenAuth("Bearer", realm="imgcompress")
_header = HTTPTokenAuth("Bearer", realm="imgcompress", header=KEY_HEADER)
_auth = MultiAuth(_bearer, _header)
_operator = HTTPTokenAuth("Bearer", realm="imgcompress operator")


def look_up_key() -> None:
    """Check the key of a call that needs one, so that limits can count by owner.

    A browser sends it in a cookie instead of a header. Without keys for callers, everyone may see
    all jobs, and the metrics as well unless the operator has a key.
    """
    settings = current_settings()
    g.key_error = None
    named = "Authorization" in request.headers or KEY_HEADER in request.headers
    if request.cookies and not named and (key := request.cookies.get(cookie_name())):
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    if request.blueprint in OPERATOR:
        g.key_error = _admit_operator() if needs_operator(settings) else None
    elif settings.require_api_key and not is_public():
        g.key_error = _admit()


def demand_key() -> Response | None:
    """Reject a call whose key is missing or wrong; limits have counted it."""
    error: Response | None = g.key_error
    return error


def cookie_name() -> str:
    """Return the name of the cookie with the key: over TLS, only the one for TLS is accepted."""
    return COOKIE_OF_HOST if is_encrypted() else COOKIE


def is_encrypted() -> bool:
    """Return whether browsers reach the service over HTTPS, even if a proxy terminates it."""
    public = current_settings().public_base_url or ""
    return request.is_secure or public.startswith("https:")


def needs_operator(settings: Settings) -> bool:
    """Return whether the operator's blueprints need the operator's key."""
    return settings.require_api_key or settings.metrics_key is not None


def current_owner() -> str | None:
    """Return the name of the caller's key; None if no key is needed and all jobs are visible."""
    owner: str | None = _auth.current_user()
    return owner


def is_public() -> bool:
    """Return whether the call needs no key, or matches no route."""
    return (
        request.endpoint is None
        or request.blueprint in PUBLIC
        or (request.endpoint in current_app.extensions.get(PAGES, ()) and wants_page())
    )


def wants_page() -> bool:
    """Return whether the caller is a browser that opens a page."""
    kinds = ["application/json", PROBLEM_TYPE, "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"


@_operator.login_required  # type: ignore[untyped-decorator]
def _admit_operator() -> None:
    """Let the call go on to its view."""


@_operator.verify_token  # type: ignore[untyped-decorator]
def _is_operator(token: str) -> bool:
    key = current_settings().metrics_key
    return key is not None and compare_digest(token.encode(), key.encode())


@_operator.error_handler  # type: ignore[untyped-decorator]
def _reject_others(_status: int) -> Response:
    return answer_error(OperatorKeyRequired())


@_auth.login_required  # type: ignore[untyped-decorator]
def _admit() -> None:
    """Let the call go on to its view."""


@_bearer.error_handler  # type: ignore[untyped-decorator]
@_header.error_handler  # type: ignore[untyped-decorator]
def _reject_keyless(_status: int) -> Response:
    """Answer a call without a valid key; Flask-HTTPAuth adds WWW-Authenticate."""
    sent = [
        request.headers[name].strip()
        for name in (KEY_HEADER, "Authorization")
        if name in request.headers
    ]
    if any(text and text.lower() != "bearer" for text in sent):
        return answer_error(InvalidApiKey())
    return answer_error(ApiKeyRequired(EMPTY_KEY) if sent else ApiKeyRequired())


for _scheme in (_bearer, _header):
    _scheme.verify_token(owner_of)


# This call costs the server more than any other.
PREVIEW = "preview.preview"
# This call is open to everyone, and could be used to guess keys.
SESSION = "web.begin_session"
MEMORY = "memory://"
MINUTE = 60.0
# Addresses share this many counters, so that a caller with very many addresses, as in IPv6, cannot
# fill the broker. Two callers rarely share one.
ADDRESS_COUNTERS = 2**16
# An IPv6 customer has a network with this many free bits, and may call from any address in it.
IPV6_OWN_BITS = 64
# If the broker does not answer soon, counters in memory replace it until it does.
COUNTER_OPTIONS: dict[str, str | int] = {"socket_connect_timeout": 1, "socket_timeout": 1}


def limit_requests(app: Flask, settings: Settings) -> None:
    """Limit the rate of calls as the settings say.

    Calls count by the owner of the key, however it was sent. Calls without a valid key count by
    address, and never block a valid key: several callers may share an address, as behind a proxy.
    """
    limits: list[str | Callable[[], str] | ApplicationLimit] = []
    if settings.uploads_per_minute:
        limits.append(
            ApplicationLimit(
                f"{settings.uploads_per_minute}/minute",
                scope="uploads",
                exempt_when=lambda: request.endpoint != UPLOAD,
            )
        )
        limits.append(
            ApplicationLimit(
                f"{settings.uploads_per_minute}/minute",
                scope="previews",
                exempt_when=lambda: request.endpoint != PREVIEW,
            )
        )
    if settings.reads_per_minute:
        limits.append(
            ApplicationLimit(
                f"{settings.reads_per_minute}/minute",
                scope="reads",
                exempt_when=lambda: (
                    request.endpoint == UPLOAD or (is_public() and request.endpoint != SESSION)
                ),
            )
        )
    if not limits:
        return
    uri = counter_uri(settings.celery_broker_url)
    limiter = Limiter(
        _caller,
        app=app,
        application_limits=limits,
        storage_uri=uri,
        storage_options=dict(COUNTER_OPTIONS) if uri != MEMORY else {},
        key_prefix=settings.queue_prefix,
        in_memory_fallback_enabled=True,
    )
    app.register_error_handler(RateLimitExceeded, partial(_reject_more, limiter))


def counter_uri(broker_url: str) -> str:
    """Return where calls are counted: in the broker if it is Redis, else in each process."""
    scheme, _, rest = broker_url.partition("://")
    known = {"redis": "redis", "rediss": "rediss", "redis+socket": "redis+unix"}
    return f"{known[scheme]}://{rest}" if scheme in known else MEMORY


def address_counter(address: str | None) -> str:
    """Return the name of an address's counter, which is the same for a whole IPv6 network.

    All calls without an address, as over a Unix socket, count as one caller.
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        network = "none"
    else:
        if isinstance(parsed, IPv6Address):
            mapped = parsed.ipv4_mapped
            network = str(mapped or int(parsed) >> IPV6_OWN_BITS)
        else:
            network = str(parsed)
    number = int.from_bytes(sha256(network.encode()).digest()) % ADDRESS_COUNTERS
    return f"address:{number}"


def _caller() -> str:
    """Return the caller: the owner of the key, or else the address."""
    owner = current_owner()
    return address_counter(request.remote_addr) if owner is None else f"owner:{owner}"


def _reject_more(limiter: Limiter, _error: RateLimitExceeded) -> Response:
    limit = limiter.current_limit
    left = limit.reset_at - time.time() if limit else MINUTE
    return answer_error(TooManyRequests(min(max(left, 1), MINUTE)))


NO_ACTIVE_CONTENT = "default-src 'none'; frame-ancestors 'none'"
# Others' content must not run as a page of this service, whatever type a browser detects.
USER_CONTENT = "default-src 'none'; sandbox"
# A browser that came over TLS uses only TLS for a year; other names of the domain are not affected.
STRICT_TRANSPORT = "max-age=31536000"
# All programs of a machine share this name, and not all of them have TLS.
LOCALHOST = re.compile(r"(?:.+\.)?localhost\.?(?::\d+)?", re.IGNORECASE)


def add_security_headers(response: Response) -> Response:
    """Add the headers for every answer, unless the view has set its own."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Content-Security-Policy", NO_ACTIVE_CONTENT)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # For browsers that do not know frame-ancestors.
    response.headers["X-Frame-Options"] = "DENY"
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cache-Control", "no-cache")
    if request.is_secure and not LOCALHOST.fullmatch(request.host):
        response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
    return response


def sandbox(response: Response) -> Response:
    """Mark an answer as content from others."""
    response.headers["Content-Security-Policy"] = USER_CONTENT
    return response


def attach(response: Response, filename: str) -> Response:
    """Make browsers save others' content under this name instead of showing it."""
    response.headers.set("Content-Disposition", "attachment", **_names(filename))
    return sandbox(response)


def _names(filename: str) -> dict[str, str]:
    """Return a file name in the form of RFC 6266: in plain ASCII, and percent-encoded in full."""
    plain = ascii_name(filename)
    if plain == filename:
        return {"filename": filename}
    return {"filename": plain, "filename*": f"UTF-8''{quote(filename, safe='')}"}


def conditional(view: Callable[..., Response]) -> Callable[..., Response]:
    """Add an ETag of the content to the answer; answer 304 if the caller has the same one."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Response:
        response = view(*args, **kwargs)
        # Weak, because a proxy may compress the answer on its way.
        response.add_etag(weak=True)
        response.make_conditional(request)
        return response

    return wrapper
