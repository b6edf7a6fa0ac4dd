"""Find the images of a job that repeat an earlier one, in memory that its size bounds."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable

# An entry is a part of a hash above, and below it the ordinal of an image, counted from 1.
_ORDINAL_BITS = 32
_ORDINAL = (1 << _ORDINAL_BITS) - 1
_HASH = _ORDINAL << _ORDINAL_BITS


class Repeats:
    """The images of a job so far, by hashes: 16 to 32 bytes for each that the job will have.

    Two keys in some thousands of millions share a hash: what is found here is to be verified.
    """

    def __init__(self, images: int) -> None:
        # At most half full, and then an entry is found at the second look.
        self._mask = (2 << max(images, 1).bit_length()) - 1
        self._entries = array("Q", bytes(8 * (self._mask + 1)))
        self._images = 0

    def firsts(self, keys: Iterable[Hashable]) -> list[int | None]:
        """Return for each of the next images the ordinal of the first with its key, or None."""
        entries, mask = self._entries, self._mask
        found: list[int | None] = []
        number = self._images
        for number, hashed in enumerate(map(hash, keys), self._images + 1):
            place = hashed & mask
            while (entry := entries[place]) and (entry ^ hashed) & _HASH:
                place = (place + 1) & mask
            if entry:
                found.append((entry & _ORDINAL) - 1)
            else:
                entries[place] = hashed & _HASH | number
                found.append(None)
        self._images = number
        return found
