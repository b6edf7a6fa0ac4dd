"""Read the head of an answer as servers write it: late, long, and with lines that are no headers.

`http.client` takes 100 headers of 64 KiB, takes a line without a colon for the end of the head, and
an early hint for the answer. Here such a line is left out, and the length of the body must
be unambiguous: otherwise the rest of one answer would be read as the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage
from typing import BinaryIO, NamedTuple

# All status and header lines of an answer together, interim answers included.
MAX_HEAD_BYTES = 128 * 1024
MAX_HEADERS = 200

# 101 is no interim answer: another protocol follows it.
_INTERIM = re.compile(rb"HTTP/1\.\d[ \t]+1(?!01)\d\d(?!\d)")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The headers that set the end of the body.
_LENGTH = frozenset((b"content-length", b"transfer-encoding"))
_NO_LETTER = re.compile(rb"[^a-z]+")


class HeadTooLarge(HTTPException):
    """The head of an answer has more lines or bytes than are read."""


class Head(NamedTuple):
    """The head of an answer, its first line as it came."""

    first: bytes
    headers: HTTPMessage
    # Whether each line was a header.
    intact: bool


def read_head(lines: BinaryIO) -> Head:
    """Read the head of the real answer, whatever interim answers come before it.

    Raise HeadTooLarge, or HTTPException for a head that breaks off or is ambiguous in length.
    """
    bounded = _Bounded(lines)
    while True:
        first = bounded.readline()
        # An answer that is not HTTP has no headers: the first line shows it.
        found = list(_header_lines(bounded)) if first.startswith(b"HTTP/") else []
        if not _INTERIM.match(first):
            return _parsed(first, found)


class _Bounded:
    """Reads lines, and no more than MAX_HEAD_BYTES of them."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._left = MAX_HEAD_BYTES

    def readline(self) -> bytes:
        line = self._lines.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise HeadTooLarge(f"The answer's headers have more than {MAX_HEAD_BYTES:,} bytes")
        return line


def _header_lines(lines: _Bounded) -> Iterator[bytes]:
    """Yield the lines up to the blank one, without their ends."""
    count = 0
    while line := lines.readline():
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if not line:
            return
        count += 1
        if count > MAX_HEADERS:
            raise HeadTooLarge(f"The answer has more than {MAX_HEADERS} headers")
        yield line
    raise HTTPException("the head of the answer breaks off")


def _parsed(first: bytes, lines: list[bytes]) -> Head:
    pairs: list[tuple[bytes, bytes]] = []
    intact = last_taken = True
    for line in lines:
        if line[0] in b" \t" and pairs and last_taken and _is_plain(line):
            # A header that goes on in a second line (RFC 9112, section 5.2).
            name, value = pairs[-1]
            pairs[-1] = name, value + b" " + line.strip(b" \t")
            continue
        pair = _pair(line)
        last_taken = pair is not None
        intact = intact and last_taken
        if pair is not None:
            pairs.append(pair)
    headers = HTTPMessage()
    for name, value in pairs:
        headers[name.decode("latin-1")] = value.decode("latin-1")
    return Head(first, headers, intact)


def _pair(line: bytes) -> tuple[bytes, bytes] | None:
    """Return the name and the value of a header, or None for a line that is no header.

    Raise HTTPException for one that another reader might take for the length of the body.
    """
    name, colon, value = line.partition(b":")
    if colon and _NAME.fullmatch(name) and _is_plain(value):
        return name, value.strip(b" \t")
    letters = _NO_LETTER.sub(b"", line.lower())
    if any(_NO_LETTER.sub(b"", meant) in letters for meant in _LENGTH):
        raise HTTPException(f"the length of the body is in doubt: {line[:80]!r}")
    bare = name.rstrip(b" \t")
    if colon and _NAME.fullmatch(bare) and _is_plain(value):
        return bare, value.strip(b" \t")
    return None


def _is_plain(value: bytes) -> bool:
    """Return whether a value has no characters that some readers take for the end of a line."""
    return b"\r" not in value and b"\0" not in value
