"""How much memory a worker process may take, and how malloc gives it back.

What an image costs is bounded by its headers (compress/source.py). This is for what nobody thought
of: the kernel refuses more memory, Python raises MemoryError, and the image is `out_of_memory`.
"""

from __future__ import annotations

import ctypes
import resource
import sys

from .pipeline import WITH_SLOW

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


def tune_malloc() -> bool:
    """Tell malloc to give large blocks back at once; return False where it is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(name, value)
        for name, value in (
            (M_MMAP_THRESHOLD, MAPPED_BYTES),
            (M_TRIM_THRESHOLD, KEPT_BYTES),
            (M_ARENA_MAX, ARENAS),
        )
    )


# What glibc gives the stack of a thread where nothing limits that of the first one, or more.
UNLIMITED_STACK = 8 * 2**20
# The threads of a worker process beside those that download (pipeline.py), with some to spare.
OTHER_THREADS = 24


def limit_memory(most: int, concurrency: int) -> None:
    """Let this process, and those that it starts, have so many bytes each; 0 limits nothing.

    Stacks count from the start, though they are hardly touched, so those of its threads come on
    top: of all that download at this concurrency, and some more. Only what a process writes to for
    itself counts (setrlimit(2), RLIMIT_DATA): numpy and others reserve far more addresses than they
    use. Linux alone counts so, since 4.7.
    """
    if not most or not sys.platform.startswith("linux"):
        return
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if stack == resource.RLIM_INFINITY:
        stack = UNLIMITED_STACK
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = most + (WITH_SLOW * concurrency + OTHER_THREADS) * stack
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
