"""Pass XML on byte for byte, but for the pieces that are replaced on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO
from xml.parsers import expat

_BLOCK_BYTES = 64 * 1024

_END_OF_NAME = (b">", b" ", b"\t", b"\r", b"\n")

Attributes = dict[str, str]


class XmlEdits:
    """XML in UTF-8 that is parsed in a stream, and of which pieces are replaced by their places.

    A place is a number of bytes from the start. Bytes after `hold` are kept until it is None
    or further on, so that an element can be changed at its end.
    """

    def __init__(
        self,
        on_start: Callable[[str, Attributes, int], None],
        on_end: Callable[[str, int, int], None],
    ) -> None:
        """Call `on_start` with the place of a tag; `on_end` with those of its end tag and its end.

        Of an element without content, both are the same. Names come as they are written.
        """
        self.hold: int | None = None
        self._on_start = on_start
        self._on_end = on_end
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._raw = bytearray()
        # The places of the first byte that is kept, and of the first behind all that was parsed.
        self._offset = self._seen = 0
        self._output = bytearray()

    def passed_on(self, source: BinaryIO) -> Iterator[bytes]:
        """Yield the XML with its replacements."""
        while block := source.read(_BLOCK_BYTES):
            self._raw += block
            self._parser.Parse(block, False)
            self._copy(self._seen if self.hold is None else min(self.hold, self._seen))
            yield bytes(self._output)
            self._output.clear()
        self._parser.Parse(b"", True)
        self._copy(self._offset + len(self._raw))
        yield bytes(self._output)

    def raw(self, start: int, end: int) -> bytes:
        """Return the bytes between two places, as they are written."""
        return bytes(self._raw[start - self._offset : end - self._offset])

    def replace(self, start: int, end: int, new: bytes) -> None:
        """Replace the bytes between two places, none of which has been yielded yet."""
        self._copy(start)
        self._output += new
        del self._raw[: end - start]
        self._offset = end

    def tag_end(self, place: int) -> int:
        """Return where a tag ends that has no `>` in its attributes."""
        return self._raw.index(b">", place - self._offset) + 1 + self._offset

    def _copy(self, end: int) -> None:
        length = max(0, end - self._offset)
        self._output += self._raw[:length]
        del self._raw[:length]
        self._offset += length

    def _start(self, name: str, attributes: Attributes) -> None:
        self._seen = self._parser.CurrentByteIndex
        self._on_start(name, attributes, self._seen)

    def _end(self, name: str, *_: object) -> None:
        place = end = self._parser.CurrentByteIndex
        tag = b"</" + name.encode()
        start = place - self._offset
        behind = self._raw[start : start + len(tag) + 1]
        # An empty element may be followed by the end of one with a longer name.
        if behind.startswith(tag) and behind[len(tag) :] in _END_OF_NAME:
            end = self.tag_end(place)
        self._seen = place
        self._on_end(name, place, end)
