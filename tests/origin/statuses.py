"""Answers with another status than 200."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from .behaviour import BEHAVIOURS, Behaviour, Exchange, at
from .server import head


@at("/redirect")
def _(exchange: Exchange) -> bool:
    """Redirect to what stands after the first `?`."""
    target = exchange.request.path.partition("?")[2]
    exchange.answer(b"moved", f"Location: {target}", status="302 Found")
    return True


@at("/redirect-loop")
def _(exchange: Exchange) -> bool:
    exchange.answer(b"moved", "Location: /redirect-loop", status="302 Found")
    return True


@at("/redirect-nowhere")
def _(exchange: Exchange) -> bool:
    exchange.answer(b"moved", status="302 Found")
    return True


@at("/cookie-wall")
def _(exchange: Exchange) -> bool:
    """Redirect to the same address until the cookie comes back that the redirect sets."""
    if "pass=1" in exchange.request.headers.get("cookie", ""):
        exchange.answer(exchange.origin.image)
    else:
        exchange.answer(
            b"moved", "Location: /cookie-wall", "Set-Cookie: pass=1; Path=/", status="302 Found"
        )
    return True


@at("/203")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, status="203 Non-Authoritative Information")
    return True


@at("/206/whole")
def _(exchange: Exchange) -> bool:
    size = len(exchange.origin.image)
    exchange.answer(
        exchange.origin.image,
        f"Content-Range: bytes 0-{size - 1}/{size}",
        status="206 Partial Content",
    )
    return True


@at("/206/part")
def _(exchange: Exchange) -> bool:
    size = len(exchange.origin.image)
    exchange.answer(
        exchange.origin.image,
        f"Content-Range: bytes 0-{size - 1}/{size + 1}",
        status="206 Partial Content",
    )
    return True


@at("/206/unknown")
def _(exchange: Exchange) -> bool:
    size = len(exchange.origin.image)
    exchange.answer(
        exchange.origin.image, f"Content-Range: bytes 0-{size - 1}/*", status="206 Partial Content"
    )
    return True


@at("/206/short")
def _(exchange: Exchange) -> None:
    """Say that all of it comes, and leave the end out."""
    image = exchange.origin.image
    exchange.send(
        head(
            "206 Partial Content",
            "Connection: close",
            f"Content-Range: bytes 0-{len(image) - 1}/{len(image)}",
        )
        + image[:-5]
    )


@at("/503-twice")
def _(exchange: Exchange) -> bool:
    """Be overloaded for the first two requests of a path."""
    if exchange.earlier_of_path < 2:
        exchange.answer(b"busy", status="503 Service Unavailable")
    else:
        exchange.answer(exchange.origin.image)
    return True


@at("/429/date")
def _(exchange: Exchange) -> bool:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    exchange.answer(b"busy", f"Retry-After: {date}", status="429 Too Many Requests")
    return True


def _status(status: str, *headers: str) -> Behaviour:
    def behave(exchange: Exchange) -> bool:
        bodiless = status[:3] in ("204", "304")
        if bodiless:
            exchange.send(head(status, *headers))
        else:
            exchange.answer(b"status " + status.encode(), *headers, status=status)
        return True

    return behave


def _register() -> None:
    for status in (
        "201 Created",
        "204 No Content",
        "206 Partial Content",
        "304 Not Modified",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "408 Request Timeout",
        "410 Gone",
        "418 I'm a Teapot",
        "425 Too Early",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "504 Gateway Timeout",
        "599 Odd",
    ):
        BEHAVIOURS[f"/status/{status[:3]}"] = _status(status)
    for name, value in (
        ("seconds", "2"),
        ("huge", "99999"),
        ("garbage", "soon, I hope"),
        ("negative", "-5"),
    ):
        BEHAVIOURS[f"/429/{name}"] = _status("429 Too Many Requests", f"Retry-After: {value}")
    for step in range(8):
        target = f"/redirect-chain/{step - 1}" if step else "/good"
        BEHAVIOURS[f"/redirect-chain/{step}"] = _status("302 Found", f"Location: {target}")


_register()
