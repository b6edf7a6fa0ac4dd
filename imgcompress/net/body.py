"""Read the body of a response within limits, and decode its Content-Encoding."""

from __future__ import annotations

import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import brotli
from urllib3 import BaseHTTPResponse

from ..errors import ImageError
from . import wire_chunks

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# The most bytes unpacked at once.
UNPACKED_CHUNK_BYTES = 256 * 1024
# The largest window on the Web, 8 MiB (RFC 9659); files may have up to 2 GiB.
ZSTD_WINDOW_LOG = 23
# Empty frames have nine bytes, and each needs a new decoder.
ZSTD_FRAMES = 1000

# zlib's window bits for either a gzip or a zlib header, and for no header.
_WITH_HEADER = 32 + zlib.MAX_WBITS
_WITHOUT_HEADER = -zlib.MAX_WBITS

# The codings in IANA's registry that are not supported. Other names are no codings: storages and
# shops send `aws-chunked`, `none`, `UTF-8`, `binary` or `image/jpeg`, which browsers ignore.
UNSUPPORTED = frozenset(
    ("aes128gcm", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip")
)

Chunks = Iterator[bytes]


class _Decoder(Protocol):
    """The decoder of one body: as long as it is `full`, `feed` is called with no data.

    Data after the encoded body is read and discarded, so that the connection can be kept.
    """

    ended: bool
    full: bool

    def feed(self, data: bytes) -> bytes: ...


def unpacker(content_encoding: str | None) -> Callable[[Chunks], Chunks]:
    """Return the decoder for a body with this header. Raise ImageError `bad_encoding`."""
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    packed = [name for name in names if name in DECODERS or name in UNSUPPORTED]
    if not packed:
        return iter
    if len(packed) > 1 or packed[0] in UNSUPPORTED:
        raise ImageError("bad_encoding", f"Content-Encoding: {', '.join(packed)[:80]}")
    make = DECODERS[packed[0]]
    return lambda chunks: _unpack(make, chunks)


def _unpack(make: Callable[[bytes], _Decoder], chunks: Chunks) -> Chunks:
    """Yield the decoded data, at most UNPACKED_CHUNK_BYTES at once. Raise ImageError."""
    decoder = None
    try:
        for chunk in chunks:
            decoder = decoder or make(chunk)
            yield decoder.feed(chunk)
            while decoder.full:
                yield decoder.feed(b"")
    except (zlib.error, brotli.error, zstd.ZstdError) as error:
        raise ImageError("source_broken", detail=f"unpacking: {error}") from error
    if decoder is not None and not decoder.ended:
        raise ImageError("source_broken", detail="the compressed body ends too early")


class _Zlib:
    """gzip, and deflate in both of its forms."""

    def __init__(self, beginning: bytes) -> None:
        self._decoder = zlib.decompressobj(_window_bits(beginning))
        self.ended = self.full = False

    def feed(self, data: bytes) -> bytes:
        if self.ended:
            return b""
        made = self._decoder.decompress(self._decoder.unconsumed_tail + data, UNPACKED_CHUNK_BYTES)
        self.ended = self._decoder.eof
        self.full = bool(self._decoder.unconsumed_tail) and not self.ended
        return made


class _Brotli:
    """br, RFC 7932."""

    def __init__(self, _beginning: bytes) -> None:
        self._decoder = brotli.Decompressor()
        self.ended = self.full = False

    def feed(self, data: bytes) -> bytes:
        if self.ended:
            return b""
        made: bytes = self._decoder.process(data, output_buffer_limit=UNPACKED_CHUNK_BYTES)
        self.ended = self._decoder.is_finished()
        self.full = not (self.ended or self._decoder.can_accept_more_data())
        return made


class _Zstd:
    """zstd, RFC 8878: frame by frame, since large bodies have several."""

    def __init__(self, _beginning: bytes) -> None:
        self._rest = b""
        self._frames = 0
        self._begin_frame()
        self.ended = self.full = False

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        if self.ended:
            self._begin_frame()
        made: bytes = self._decoder.decompress(data, UNPACKED_CHUNK_BYTES)
        self.ended = self._decoder.eof
        self._rest = self._decoder.unused_data if self.ended else b""
        self.full = bool(self._rest) or not (self.ended or self._decoder.needs_input)
        return made

    def _begin_frame(self) -> None:
        self._frames += 1
        if self._frames > ZSTD_FRAMES:
            raise zstd.ZstdError(f"more than {ZSTD_FRAMES} frames")
        self._decoder = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        )


def _window_bits(beginning: bytes) -> int:
    """Some servers send deflate without the zlib header that RFC 9110 asks for."""
    has_zlib_header = beginning[0] & 0x0F == 8 and int.from_bytes(beginning[:2], "big") % 31 == 0
    return _WITH_HEADER if has_zlib_header or beginning[0] == 0x1F else _WITHOUT_HEADER


DECODERS: dict[str, Callable[[bytes], _Decoder]] = {
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "br": _Brotli,
    "zstd": _Zstd,
}


# The range of an unrequested 206: from the first byte to the last.
_WHOLE = re.compile(r"bytes 0-([0-9]{1,15})/([0-9]{1,15})", re.IGNORECASE)


class MinRate:
    """Stops a body that comes too slowly once `grace` seconds have passed."""

    def __init__(self, bytes_per_second: float, grace: float) -> None:
        self._rate = bytes_per_second
        self._grace = grace
        self._began = time.monotonic()
        self._received = 0

    def count(self, size: int) -> None:
        """Count received bytes. Raise ImageError `source_timeout` if there are too few by now."""
        self._received += size
        seconds = time.monotonic() - self._began
        if seconds > self._grace and self._received < self._rate * seconds:
            raise ImageError("source_timeout", detail=f"{self._received} bytes in {seconds:.1f} s")


def copy_body(
    response: BaseHTTPResponse, target: BinaryIO, max_bytes: int, min_rate: MinRate
) -> None:
    """Write the decoded body to a file, at most `max_bytes` on the wire and decoded.

    Raise ImageError `too_large`, `bad_encoding`, `source_broken` or `source_timeout`, or
    NetworkError.
    """
    unpack = unpacker(response.headers.get("Content-Encoding"))
    declared = response.length_remaining
    if declared is not None and declared > max_bytes:
        raise ImageError("too_large", f"The server announces {declared:,} bytes")
    size = 0
    for data in unpack(_counted(response, max_bytes, min_rate)):
        size += len(data)
        if size > max_bytes:
            raise _too_large(max_bytes)
        target.write(data)
    whole = whole_length(response)
    if whole not in (None, response.tell()):
        raise ImageError("source_broken", detail=f"{response.tell()} bytes of {whole}")


def whole_length(response: BaseHTTPResponse) -> int | None:
    """Return the bytes on the wire of a range that covers its whole file, else None."""
    whole = _WHOLE.fullmatch(response.headers.get("Content-Range", ""))
    return int(whole[2]) if whole and int(whole[1]) + 1 == int(whole[2]) else None


def _counted(response: BaseHTTPResponse, max_bytes: int, min_rate: MinRate) -> Iterator[bytes]:
    """Yield the bytes on the wire. Raise ImageError if they are too many or too slow."""
    received = 0
    for chunk in wire_chunks(response):
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        min_rate.count(len(chunk))
        yield chunk


def _too_large(max_bytes: int) -> ImageError:
    return ImageError("too_large", f"The server sends more than {max_bytes:,} bytes")
