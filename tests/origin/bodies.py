"""Answers that begin well: a body too slow, too long, too short, or packed oddly."""

from __future__ import annotations

import gzip
import zlib

from .behaviour import JPEG, OK, Exchange, at
from .server import head


@at("/good")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image)
    return True


@at("/drip-body")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Content-Length: 100000"))
    exchange.drip(exchange.origin.image * 20)


@at("/silent-body")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Content-Length: 100000") + exchange.origin.image)
    exchange.origin.closing.wait()


@at("/endless")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Connection: close"))
    while not exchange.origin.closing.is_set():
        exchange.send(b"\xff\xd8\xff" * 65_536)


@at("/length-too-small")
def _(exchange: Exchange) -> bool:
    exchange.send(head(OK, JPEG, "Content-Length: 10") + exchange.origin.image)
    return True


@at("/length-too-large")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Content-Length: 1000000") + exchange.origin.image)


@at("/length-huge")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, f"Content-Length: {10 ** 12}"))
    exchange.origin.closing.wait()


@at("/lengths-differ")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Content-Length: 10", "Content-Length: 20")
                  + exchange.origin.image)


@at("/broken-chunks")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Transfer-Encoding: chunked") + b"5\r\nhello\r\nzz\r\nworld\r\n")


@at("/cut-chunks")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Transfer-Encoding: chunked") + b"ffff\r\nhello")


@at("/endless-chunks")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Transfer-Encoding: chunked"))
    while not exchange.origin.closing.is_set():
        exchange.send(b"1000\r\n" + bytes(4096) + b"\r\n")


@at("/endless-trailers")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n")
    while not exchange.origin.closing.is_set():
        exchange.send(b"X-Trailer: never ends\r\n" * 1000)


@at("/gzip-bomb")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Content-Encoding: gzip", "Connection: close"))
    packer = zlib.compressobj(9, wbits=31)
    while not exchange.origin.closing.is_set():
        exchange.send(packer.compress(bytes(16 * 2**20)))


@at("/hollow-gzip")
def _(exchange: Exchange) -> None:
    """Send packed blocks without end that hold nothing."""
    exchange.send(head(OK, JPEG, "Content-Encoding: gzip", "Connection: close"))
    packer = zlib.compressobj(wbits=31)
    exchange.send(packer.compress(b"x") + packer.flush(zlib.Z_SYNC_FLUSH))
    while not exchange.origin.closing.is_set():
        exchange.send(b"\x00\x00\x00\xff\xff" * 10_000)


@at("/gzip-and-more")
def _(exchange: Exchange) -> bool:
    exchange.answer(gzip.compress(exchange.origin.image) + bytes(300_000),
                    "Content-Encoding: gzip")
    return True


@at("/gzip")
def _(exchange: Exchange) -> bool:
    exchange.answer(gzip.compress(exchange.origin.image), "Content-Encoding: gzip")
    return True


@at("/deflate")
def _(exchange: Exchange) -> bool:
    exchange.answer(zlib.compress(exchange.origin.image), "Content-Encoding: deflate")
    return True


@at("/raw-deflate")
def _(exchange: Exchange) -> bool:
    packer = zlib.compressobj(wbits=-15)
    exchange.answer(packer.compress(exchange.origin.image) + packer.flush(),
                    "Content-Encoding: deflate")
    return True


@at("/cut-gzip")
def _(exchange: Exchange) -> bool:
    exchange.answer(gzip.compress(exchange.origin.image)[:-12], "Content-Encoding: gzip")
    return True


@at("/false-gzip")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, "Content-Encoding: gzip")
    return True


@at("/five-encodings")
def _(exchange: Exchange) -> bool:
    body = exchange.origin.image
    for _layer in range(5):
        body = gzip.compress(body)
    exchange.answer(body, "Content-Encoding: gzip, gzip, gzip, gzip, gzip")
    return True


@at("/brotli")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, "Content-Encoding: br")
    return True


@at("/image-as-text")
def _(exchange: Exchange) -> bool:
    body = exchange.origin.image
    exchange.send(head(OK, "Content-Type: text/html", f"Content-Length: {len(body)}") + body)
    return True


@at("/text-as-image")
def _(exchange: Exchange) -> bool:
    exchange.answer(b"<!doctype html><title>Not found</title><p>There is no such image.</p>")
    return True


@at("/empty")
def _(exchange: Exchange) -> bool:
    exchange.answer(b"")
    return True


@at("/reset")
def _(exchange: Exchange) -> None:
    exchange.send(head(OK, JPEG, "Content-Length: 100000") + exchange.origin.image)
    exchange.reset()
