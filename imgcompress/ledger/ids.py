"""Ids that ascend with time."""

from __future__ import annotations

import os
import time

# The digit of a UUID that tells its variant, made of a random digit.
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def time_ordered_ids(count: int) -> list[str]:
    """Return ascending UUIDs of version 7 (RFC 9562) as 32 hexadecimal digits.

    They go to the end of the index one after the other, while random ones are scattered all over
    it. 74 of their bits are random, so nobody can guess one from another.
    """
    start = f"{time.time_ns() // 1_000_000:012x}7"
    random = os.urandom(10 * count).hex()
    ids = [f"{start}{random[at:at + 3]}{_VARIANT[random[at + 3]]}{random[at + 4:at + 19]}"
           for at in range(0, 20 * count, 20)]
    ids.sort()
    return ids
