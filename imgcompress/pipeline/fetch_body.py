"""Read the body of an answer within its limits."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

from urllib3 import BaseHTTPResponse

from ..errors import ImageError
from ..netguard import wire_chunks

# How much is unpacked at once, so that a bomb is noticed early.
UNPACKED_CHUNK_BYTES = 256 * 1024

# zlib's window bits that read a gzip or zlib header, whichever comes, and those for no header.
_WITH_HEADER = 32 + zlib.MAX_WBITS
_WITHOUT_HEADER = -zlib.MAX_WBITS


class MinRate:
    """Stops a body that comes too slowly once `grace` seconds have passed."""

    def __init__(self, bytes_per_second: float, grace: float) -> None:
        self._rate = bytes_per_second
        self._grace = grace
        self._began = time.monotonic()
        self._received = 0

    def count(self, size: int) -> None:
        """Note that bytes came. Raise ImageError `source_timeout` if they are too few by now."""
        self._received += size
        seconds = time.monotonic() - self._began
        if seconds > self._grace and self._received < self._rate * seconds:
            raise ImageError("source_timeout",
                             detail=f"{self._received} bytes in {seconds:.1f} s")


def read_body(response: BaseHTTPResponse, max_bytes: int, min_rate: MinRate) -> bytes:
    """Return the decoded body, at most `max_bytes` on the wire and decoded.

    Raise ImageError `too_large`, `bad_encoding`, `source_broken` or `source_timeout`, or
    NetworkError.
    """
    unpack = _unpacker(response.headers.get("Content-Encoding"))
    _check_declared(response, max_bytes)
    body = BytesIO()
    for data in unpack(_counted(response, max_bytes, min_rate)):
        if body.tell() + len(data) > max_bytes:
            raise _too_large(max_bytes)
        body.write(data)
    return body.getvalue()


def _check_declared(response: BaseHTTPResponse, max_bytes: int) -> None:
    declared = response.length_remaining
    if declared is not None and declared > max_bytes:
        raise ImageError("too_large", f"The source announces {declared:,} bytes")


def _counted(response: BaseHTTPResponse, max_bytes: int, min_rate: MinRate) -> Iterator[bytes]:
    """Yield the bytes on the wire. Raise ImageError if they are too many or too slow."""
    received = 0
    for chunk in wire_chunks(response):
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        min_rate.count(len(chunk))
        yield chunk


def _unpacker(encoding: str | None) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    names = [name.strip().lower() for name in (encoding or "").split(",") if name.strip()]
    packed = [name for name in names if name != "identity"]
    if not packed:
        return iter
    if packed in (["gzip"], ["x-gzip"], ["deflate"]):
        return _unpack
    raise ImageError("bad_encoding", f"Content-Encoding: {', '.join(packed)[:80]}")


def _unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip or deflate has packed, in small pieces. Raise ImageError `source_broken`."""
    decoder = None
    try:
        for chunk in chunks:
            decoder = decoder or zlib.decompressobj(_window_bits(chunk))
            # What follows the packed body is read, so that the connection can be kept, and dropped.
            while chunk and not decoder.eof:
                yield decoder.decompress(chunk, UNPACKED_CHUNK_BYTES)
                chunk = decoder.unconsumed_tail
    except zlib.error as error:
        raise ImageError("source_broken", detail=f"unpacking: {error}") from error
    if decoder is not None and not decoder.eof:
        raise ImageError("source_broken", detail="the packed body ends too early")


def _window_bits(chunk: bytes) -> int:
    """Some servers send deflate without the zlib header that RFC 9110 asks for."""
    has_zlib_header = chunk[0] & 0x0F == 8 and int.from_bytes(chunk[:2], "big") % 31 == 0
    return _WITH_HEADER if has_zlib_header or chunk[0] == 0x1F else _WITHOUT_HEADER


def _too_large(max_bytes: int) -> ImageError:
    return ImageError("too_large", f"The source gives more than {max_bytes:,} bytes")
