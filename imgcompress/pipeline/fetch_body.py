"""Read the body of an answer within its limits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import BinaryIO

from urllib3 import BaseHTTPResponse

from ..errors import ImageError
from ..netguard import wire_chunks
from .fetch_encoding import unpacker

# The range that a server gives which was asked for none: from the first byte to the last.
_WHOLE = re.compile(r"bytes 0-([0-9]{1,15})/([0-9]{1,15})", re.IGNORECASE)


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


def copy_body(response: BaseHTTPResponse, target: BinaryIO, max_bytes: int,
              min_rate: MinRate) -> None:
    """Write the decoded body to a file, at most `max_bytes` on the wire and decoded.

    Raise ImageError `too_large`, `bad_encoding`, `source_broken` or `source_timeout`, or
    NetworkError.
    """
    unpack = unpacker(response.headers.get("Content-Encoding"))
    _check_declared(response, max_bytes)
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
    """Return how many bytes a range has on the wire that is all of its file; None for others."""
    told = _WHOLE.fullmatch(response.headers.get("Content-Range", ""))
    return int(told[2]) if told and int(told[1]) + 1 == int(told[2]) else None


def _check_declared(response: BaseHTTPResponse, max_bytes: int) -> None:
    declared = response.length_remaining
    if declared is not None and declared > max_bytes:
        raise ImageError("too_large", f"The server announces {declared:,} bytes")


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
