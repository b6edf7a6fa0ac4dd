"""Give memory back to the system: for glibc, which keeps what it once had."""

from __future__ import annotations

import ctypes

# The names of malloc.h, with their numbers.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
# The pixels of a large image are mapped for themselves and go back when it is done. Otherwise glibc
# raises this up to 32 MiB, and holes between smaller things stay.
MAPPED_BYTES = 16 * 2**20
# Those of smaller images are used again. By default all free memory beyond 128 KiB would go back
# after each image and come anew for the next: a third of the time that a photo of 0.5 MP takes.
KEPT_BYTES = 32 * 2**20
# By default each download thread may get an arena of its own, from which it gives nothing back.
ARENAS = 2


def give_back_memory() -> bool:
    """Tell malloc to give large blocks back at once; return False where it is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(name, value) for name, value in (
            (M_MMAP_THRESHOLD, MAPPED_BYTES), (M_TRIM_THRESHOLD, KEPT_BYTES),
            (M_ARENA_MAX, ARENAS)))
