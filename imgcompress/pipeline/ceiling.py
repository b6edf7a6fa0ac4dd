"""A ceiling for the memory of a process that decodes: beyond it an image fails, not the machine.

What an image costs is bounded by its headers (compress/source.py). This is for what nobody thought
of: the kernel refuses more memory, Python raises MemoryError, and the image is `out_of_memory`.
"""

from __future__ import annotations

import resource
import sys

from .download_slots import WITH_SLOW

# What glibc gives the stack of a thread where nothing limits that of the first one, or more.
UNLIMITED_STACK = 8 * 2**20
# The threads of a worker process beside those that download (pipeline/lane.py), with some to spare.
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
