"""Answers that go wrong before their body, and connections that die."""

from __future__ import annotations

from .behaviour import BEHAVIOURS, JPEG, OK, Behaviour, Exchange, at
from .server import head

# Lines that are no headers, and leave the length of the body beyond doubt.
MALFORMED = (
    "this line has no colon",
    ": no name",
    "Bad Name: x",
    "X-Break: a\rb",
    "X-Nul: a\0b",
    "<html>",
    "X-Folded: a\r\n\tb",
    "Bad Name: x\r\n and goes on",
    "X-Blank : a",
    "Content-Type\u00e9: text/plain",
    " X-Folded: from the first line on",
)
# Lines that one reader takes for the length of the body, and another does not.
DOUBTFUL = (
    "Content-Length : 5",
    "Content Length: 5",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\x0b: chunked",
    "X: a\rTransfer-Encoding: chunked",
    "Content-Length 5",
    "Content-Length: 5\r",
)


@at("/drip-head")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK)[:-2])
    exchange.drip(b"".join(b"X-Header-%d: drips\r\n" % number for number in range(1000)))


@at("/silence")
def _(exchange: Exchange) -> None:
    exchange.origin.closing.wait()


@at("/huge-head")
def _(exchange: Exchange) -> bool:
    exchange.answer(
        exchange.origin.image, *(f"X-Header-{number}: {'x' * 2000}" for number in range(100))
    )
    return True


@at("/huge-header")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, f"X-Header: {'x' * 200 * 1024}")
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


@at("/cut-head")
def _(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Le")


@at("/two-hundred-headers")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, *(f"X-Header-{number}: x" for number in range(198)))
    return True


@at("/two-hundred-and-one-headers")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, *(f"X-Header-{number}: x" for number in range(199)))
    return True


@at("/long-header")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, f"X-Header: {'x' * 70 * 1024}")
    return True


@at("/hints")
def _(exchange: Exchange) -> bool:
    for interim in ("100 Continue", "102 Processing", "103 Early Hints", "103 Early Hints"):
        exchange.send(head(interim, "Link: </style.css>; rel=preload", "Content-Length: 7"))
    exchange.answer(exchange.origin.image)
    return True


def _with_line(line: str) -> Behaviour:
    def behave(exchange: Exchange) -> bool:
        """Put the line first, so that what follows it has to be read as well."""
        body = exchange.origin.image
        exchange.send(head(OK, line, JPEG, f"Content-Length: {len(body)}") + body)
        return True

    return behave


BEHAVIOURS.update(
    {f"/malformed/{number}": _with_line(line) for number, line in enumerate(MALFORMED)}
)
BEHAVIOURS.update({f"/doubtful/{number}": _with_line(line) for number, line in enumerate(DOUBTFUL)})
