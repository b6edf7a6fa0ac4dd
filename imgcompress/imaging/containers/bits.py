"""Numbers of any width in the headers of bitstreams."""

from __future__ import annotations

from ...errors import ImageError


class Bits:
    """Read numbers bit by bit. Raise ImageError `truncated_image` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def number(self, bits: int) -> int:
        """Return the number that the next bits make."""
        self._left -= bits
        if self._left < 0:
            raise ImageError("truncated_image")
        return self._value >> self._left & (1 << bits) - 1

    def variable_length(self) -> int:
        """Return an Exp-Golomb number: uvlc() of AV1 (4.10.3), ue(v) of HEVC (9.2)."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros) if zeros < 32 else (1 << 32) - 1
