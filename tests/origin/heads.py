"""Answers that go wrong before their body, and connections that die."""

from __future__ import annotations

from .behaviour import OK, Exchange, at
from .server import head


@at("/drip-head")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK)[:-2])
    exchange.drip(b"".join(b"X-Header-%d: drips\r\n" % number for number in range(1000)))


@at("/silence")
def _(exchange: Exchange) -> None:
    exchange.origin.closing.wait()


@at("/huge-head")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image,
                    *(f"X-Header-{number}: {'x' * 2000}" for number in range(50)))
    return True


@at("/huge-header")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, f"X-Header: {'x' * 100 * 1024}")
    return True


@at("/many-headers")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, *(f"X-Header-{number}: x" for number in range(500)))
    return True


@at("/interim-flood")
def _(exchange: Exchange) -> None:
    while not exchange.origin.closing.is_set():
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@at("/reset-at-once")
def _(exchange: Exchange) -> None:
    exchange.reset()


@at("/hang-up")
def _(exchange: Exchange) -> None:
    """Close without a word."""


@at("/dies-when-reused")
def _(exchange: Exchange) -> bool:
    """Answer the first request of a connection; close at the second without a byte."""
    if exchange.earlier_here:
        return False
    exchange.answer(exchange.origin.image)
    return True


@at("/closes-idle")
def _(exchange: Exchange) -> None:
    """Answer as if the connection were kept, then close it."""
    exchange.answer(exchange.origin.image)


@at("/http-0.9")
def _(exchange: Exchange) -> None:
    exchange.send(b"<html>garbage without a status line</html>\n" * 10)


@at("/bad-status-line")
def _(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 abc Hello\r\n\r\n")
