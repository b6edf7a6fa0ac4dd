"""Limits of the rate of calls and the size of their bodies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from time import time

from flask import Flask, Response, request
from flask_limiter import ApplicationLimit, Limiter, RateLimitExceeded
from werkzeug.exceptions import RequestEntityTooLarge

from ..config import Settings
from .auth import current_owner, is_public
from .errors import TooManyRequests, answer_error

UPLOAD = "upload.upload"
# It costs the server more than any other call.
PREVIEW = "preview.preview"
# Open to everyone, but its key may be guessed.
SESSION = "web.begin"
MEMORY = "memory://"
MINUTE = 60.0
# The form of an upload has about ten fields, together shorter than this, beside its file. Werkzeug
# bounds by the same number what it holds of a file at once, which is 64 KiB and the rest before.
MAX_FORM_PARTS = 50
MAX_FIELD_BYTES = 256 * 1024
# No other call needs more than a key in its body.
MAX_BODY_BYTES = 16 * 1024
# Addresses share this many counters. A caller with very many, as in IPv6, leaves no
# more than these in the broker; that two callers share one is rare.
ADDRESS_COUNTERS = 2**16
# An IPv6 customer has a network with this many bits left over, and may call from all of it.
IPV6_OWN_BITS = 64
# A broker that does not answer soon is replaced by counters in memory, until it does.
COUNTER_OPTIONS: dict[str, str | int] = {"socket_connect_timeout": 1, "socket_timeout": 1}


def bound_bodies(app: Flask, settings: Settings) -> None:
    """Bound each body by the needs of its call, before it is read.

    Werkzeug bounds the fields of a multipart form alone: of an urlencoded one it reads all, and a
    field of two bytes takes a hundred.
    """
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
        MAX_FORM_MEMORY_SIZE=MAX_FIELD_BYTES,
    )
    app.before_request(partial(_bound_body, settings.max_upload_bytes))


def _bound_body(max_upload_bytes: int) -> None:
    """Refuse a body whose length says that it is too large; others are bounded as they are read."""
    if request.endpoint == UPLOAD:
        request.max_content_length = max_upload_bytes
    if (request.content_length or 0) > (request.max_content_length or 0):
        raise RequestEntityTooLarge


def limit_requests(app: Flask, settings: Settings) -> None:
    """Limit the rate of calls as the settings say.

    They count by the owner of the key, however it was sent. Calls without a valid key count by
    address, and a valid key is let in however many of them there were: others may have the same
    address, as behind a proxy.
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
                exempt_when=lambda: request.endpoint == UPLOAD or _is_free(),
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
    app.register_error_handler(RateLimitExceeded, partial(_refuse, limiter))


def counter_uri(broker_url: str) -> str:
    """Return where calls are counted: in the broker if it is a Redis, else in each process."""
    scheme, _, rest = broker_url.partition("://")
    known = {"redis": "redis", "rediss": "rediss", "redis+socket": "redis+unix"}
    return f"{known[scheme]}://{rest}" if scheme in known else MEMORY


def address_counter(address: str | None) -> str:
    """Return the name of the counter of an address, which is the same for all of an IPv6 network.

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


def _is_free() -> bool:
    """Return whether a call is counted by no limit."""
    return is_public() and request.endpoint != SESSION


def _caller() -> str:
    """Return the caller: the owner of the key, or else the address."""
    owner = current_owner()
    return address_counter(request.remote_addr) if owner is None else f"owner:{owner}"


def _refuse(limiter: Limiter, _error: RateLimitExceeded) -> Response:
    limit = limiter.current_limit
    left = limit.reset_at - time() if limit else MINUTE
    return answer_error(TooManyRequests(min(max(left, 1), MINUTE)))
