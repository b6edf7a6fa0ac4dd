"""The segments of a JPEG file (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError

# Real files have some dozens of segments and at most a dozen scans. Each scan of a progressive
# file is one pass over the whole image, so that a small file with thousands of them takes minutes.
MAX_SEGMENTS = 10_000
MAX_SCANS = 100

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_PROGRESSIVE = 0xC2
# T.81, table B.1; of the hierarchical ones only those that are not lossless.
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_HIERARCHICAL = (0xC5, 0xC6, 0xCD, 0xCE)
END = b"\xff\xd9"
_DHT, _DAC, _EOI, _SOS, _DQT, _DNL, _DRI, _APP0, _APP14 = (
    0xC4,
    0xCC,
    0xD9,
    0xDA,
    0xDB,
    0xDC,
    0xDD,
    0xE0,
    0xEE,
)
_PIXELS = _SOF | {_DHT, _DAC, _SOS, _DQT, _DNL, _DRI}
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
# Within entropy-coded data FF precedes 00 (a stuffed byte) or D0 to D7 (a restart marker).
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
# The Huffman decoder looks up to 8 bytes ahead; see `decodable`.
_LOOK_AHEAD = bytes(16)
_UNSENT = 14


class Segment(NamedTuple):
    """One marker segment, data[start:end]; a scan's segment includes its entropy-coded data."""

    marker: int
    start: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments after SOI up to EOI or the end of the data.

    Raise ImageError `corrupt_image` if there are more than in any real file.
    """
    position = 2
    scans = 0
    suspects = _suspects(data)
    for _ in range(MAX_SEGMENTS):
        found = _NEXT_MARKER.search(data, position)
        if not found:
            return
        segment = _segment(data, found.end() - 2, suspects)
        yield segment
        scans += segment.marker == _SOS
        if segment.marker == _EOI:
            return
        if scans > MAX_SCANS:
            break
        position = segment.end
    raise ImageError("corrupt_image", "The JPEG has far too many segments")


def _suspects(data: bytes) -> bytes:
    """Return one byte for each but the last, 1 where FF precedes more than a stuffed 00.

    In numpy, since this checks every byte of the file: a regular expression takes twice as long.
    Restart markers are left in, since they are rare, and excluding them takes as long again.
    """
    values = np.frombuffer(data, dtype=np.uint8)
    suspects: NDArray[np.bool_] = values[:-1] == 0xFF
    suspects &= values[1:] != 0
    return suspects.tobytes()


def _segment(data: bytes, start: int, suspects: bytes) -> Segment:
    marker = data[start + 1]
    if marker == _EOI or marker in _STANDALONE:
        return Segment(marker, start, start + 2)
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    end = start + 2 + max(length, 2)
    if marker == _SOS:
        end = _end_of_scan(data, end, suspects)
    return Segment(marker, start, min(end, len(data)))


def _end_of_scan(data: bytes, position: int, suspects: bytes) -> int:
    first = suspects.find(1, position)
    found = _END_OF_SCAN.search(data, first) if first >= 0 else None
    return found.start() if found else len(data)


def size(found: Sequence[Segment], data: bytes) -> tuple[int, int]:
    """Return width and height. Raise ImageError if they are missing or given more than once."""
    headers = [data[segment.start + 5 : segment.end] for segment in found if segment.marker in _SOF]
    if not headers or len(headers[0]) < 4:
        raise ImageError("truncated_image")
    if len(headers) > 1:
        raise ImageError("corrupt_image", "The JPEG declares its size more than once")
    height, width = struct.unpack_from(">HH", headers[0])
    return width, height


def check_supported(found: Sequence[Segment], data: bytes) -> None:
    """Raise ImageError `unsupported_format` for a kind of JPEG that no decoder here reads."""
    for segment in found:
        if segment.marker in _SOF and segment.start + 4 < len(data):
            bits = data[segment.start + 4]
            if segment.marker in _LOSSLESS:
                raise ImageError("unsupported_format", "The image is a lossless JPEG")
            if segment.marker in _HIERARCHICAL:
                raise ImageError("unsupported_format", "The image is a hierarchical JPEG")
            if bits != 8:
                raise ImageError(
                    "unsupported_format",
                    f"The image is a JPEG with {bits} instead of 8 bits per sample",
                )


def is_plain(found: Sequence[Segment]) -> bool:
    """Return whether the image is coded like almost all JPEGs: by DCT and Huffman codes."""
    return any(segment.marker in _SEQUENTIAL or segment.marker == _PROGRESSIVE for segment in found)


def decodable(found: Sequence[Segment], data: bytes) -> bytes:
    """Return the bytes to decode: the first image, with an end that makes a missing part an error.

    When libjpeg meets EOI before the last row it fills the rest with grey and only warns. In a
    sequential file with one scan EOI is therefore replaced with as many zero bytes as the decoder
    looks ahead: a complete image decodes as before, an incomplete one runs out of data, which
    Pillow reports as truncated. A file with several scans must have all necessary ones; then only
    the last refinement, which is invisible, can be incomplete. Raise ImageError `truncated_image`
    if scans are missing.
    """
    if not has_end(found):
        return data
    scans = [segment for segment in found if segment.marker == _SOS]
    sequential = any(segment.marker in _SEQUENTIAL for segment in found)
    if len(scans) == 1 and sequential:
        return data[: found[-1].start] + _LOOK_AHEAD
    sent = [data[scan.start + 4 : scan.end] for scan in scans]
    if not _is_complete(_components(found, data), sent):
        raise ImageError("truncated_image")
    return data[: found[-1].end]


def has_end(found: Sequence[Segment]) -> bool:
    """Return whether the last segment is the end marker, EOI."""
    return bool(found) and found[-1].marker == _EOI


def _components(found: Sequence[Segment], data: bytes) -> bytes:
    """Return the identifiers of the components that the frame header lists."""
    header = next(
        (data[segment.start + 4 : segment.end] for segment in found if segment.marker in _SOF), b""
    )
    return header[6::3]


def _is_complete(components: bytes, scans: list[bytes]) -> bool:
    """Return whether every component's mean and every detail of the first one were sent.

    The details of colour may be left out by an encoder that found none (T.81, G.1.1.1).
    """
    missing = {component: [_UNSENT] * 64 for component in components}
    for scan in scans:
        count = scan[0] if scan else 0
        first, last, bits = (scan + bytes(256))[1 + 2 * count : 4 + 2 * count]
        for component in scan[1 : 1 + 2 * count : 2]:
            if component in missing and first <= last < 64:
                missing[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    return all(bits[0] == 0 for bits in missing.values()) and (
        not components or not any(missing[components[0]])
    )


def strip(data: bytes) -> bytes:
    """Return the same image without APPn, comments and anything after EOI.

    JFIF and Adobe markers say how the colours are coded, so that a file that has them gets plain
    new ones, with nothing of the old ones but the colour transform.
    """
    parts = [data[:2]]
    for segment in segments(data):
        body = data[segment.start + 4 : segment.end]
        if segment.marker == _APP0 and body.startswith(b"JFIF\0") and len(parts) == 1:
            parts.append(_JFIF)
        elif segment.marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            parts.append(_adobe(body[11]))
        elif segment.marker in _PIXELS:
            parts.append(data[segment.start : segment.end])
    parts.append(END)
    return b"".join(parts)


def _adobe(transform: int) -> bytes:
    return struct.pack(">BBH5sHHHB", 0xFF, _APP14, 14, b"Adobe", 100, 0, 0, transform)


def pixel_bytes(found: Sequence[Segment]) -> int:
    """Return how many of the file's bytes are the compressed pixels."""
    return sum(segment.end - segment.start for segment in found if segment.marker == _SOS)
