"""Answers that begin well: a body too slow, too long, too short, or packed oddly."""

from __future__ import annotations

import gzip
import sys
import zlib
from functools import cache

import brotli

from .behaviour import BEHAVIOURS, JPEG, OK, Behaviour, Exchange, at
from .server import head

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# What servers write for Content-Encoding that is no coding.
NO_CODINGS = (
    "aws-chunked",
    "none",
    "UTF-8",
    "undefined",
    "binary",
    "image/jpeg",
    "identity",
    "aws-chunked, none",
    "",
)


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
    exchange.send(head(OK, JPEG, f"Content-Length: {10**12}"))
    exchange.origin.closing.wait()


@at("/lengths-differ")
def _(exchange: Exchange) -> None:
    exchange.send(
        head(OK, JPEG, "Content-Length: 10", "Content-Length: 20") + exchange.origin.image
    )


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
    exchange.answer(gzip.compress(exchange.origin.image) + bytes(300_000), "Content-Encoding: gzip")
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
    exchange.answer(
        packer.compress(exchange.origin.image) + packer.flush(), "Content-Encoding: deflate"
    )
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


@at("/false-brotli")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, "Content-Encoding: br")
    return True


@at("/false-zstd")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, "Content-Encoding: zstd")
    return True


@at("/brotli")
def _(exchange: Exchange) -> bool:
    exchange.answer(brotli.compress(exchange.origin.image), "Content-Encoding: br")
    return True


@at("/zstd")
def _(exchange: Exchange) -> bool:
    exchange.answer(zstd.compress(exchange.origin.image), "Content-Encoding: zstd")
    return True


@at("/zstd-frames")
def _(exchange: Exchange) -> bool:
    image = exchange.origin.image
    frames = [zstd.compress(image[at : at + 1000]) for at in range(0, len(image), 1000)]
    exchange.answer(b"".join(frames), "Content-Encoding: zstd")
    return True


@at("/gzip-of-aws")
def _(exchange: Exchange) -> bool:
    exchange.answer(gzip.compress(exchange.origin.image), "Content-Encoding: aws-chunked,gzip")
    return True


@at("/cut-brotli")
def _(exchange: Exchange) -> bool:
    exchange.answer(brotli.compress(exchange.origin.image)[:-12], "Content-Encoding: br")
    return True


@at("/cut-zstd")
def _(exchange: Exchange) -> bool:
    exchange.answer(zstd.compress(exchange.origin.image)[:-12], "Content-Encoding: zstd")
    return True


@at("/brotli-bomb")
def _(exchange: Exchange) -> bool:
    exchange.answer(_zeros_in_brotli(), "Content-Encoding: br")
    return True


@at("/zstd-bomb")
def _(exchange: Exchange) -> bool:
    exchange.answer(_zeros_in_zstd(), "Content-Encoding: zstd")
    return True


@cache
def _zeros_in_brotli() -> bytes:
    return brotli.compress(bytes(2**28), quality=1)


@cache
def _zeros_in_zstd() -> bytes:
    return zstd.compress(bytes(2**28))


@at("/hollow-zstd")
def _(exchange: Exchange) -> bool:
    """Send very many frames that hold nothing."""
    exchange.answer(zstd.compress(b"") * 50_000, "Content-Encoding: zstd")
    return True


@at("/wide-zstd")
def _(exchange: Exchange) -> bool:
    """Ask for a window of 128 MiB."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    exchange.answer(
        packer.compress(exchange.origin.image) + packer.flush(), "Content-Encoding: zstd"
    )
    return True


@at("/compress")
def _(exchange: Exchange) -> bool:
    exchange.answer(exchange.origin.image, "Content-Encoding: compress")
    return True


def _labelled(encoding: str) -> Behaviour:
    def behave(exchange: Exchange) -> bool:
        exchange.answer(exchange.origin.image, f"Content-Encoding: {encoding}")
        return True

    return behave


BEHAVIOURS.update(
    {f"/no-coding/{number}": _labelled(encoding) for number, encoding in enumerate(NO_CODINGS)}
)


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
