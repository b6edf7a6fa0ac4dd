"""A pool process of a worker: its start, its memory limit, its name as a holder of leases, its end.

The cost of an image is bounded by its headers (imaging/decode.py). The memory limit is for
unforeseen cases: the kernel denies more, Python raises MemoryError, and the image fails as
`out_of_memory`.

A lease is for workers on machines that become unreachable. If the worker was a process of this
machine, the kernel knows at once that it has ended.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import mmap
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from celery.signals import worker_process_shutdown, worker_shutting_down

from ..config import Settings
from ..errors import LedgerUnavailable
from ..metrics import SHARE
from ..process import die_with_parent

log = logging.getLogger(__name__)

# One byte shared with the pool processes, which are forked later: they do not receive the signal
# that ends the worker, and must release their slices.
_stopping = mmap.mmap(-1, 1)
# Images keep all cores busy for hours; status requests must not wait for them.
BEHIND_CALLERS = 5


def stopping() -> bool:
    """Return whether this worker is shutting down."""
    return _stopping[0] != 0


@worker_shutting_down.connect
def _announce(**_: Any) -> None:
    _stopping[0] = 1


@worker_process_shutdown.connect
def _save_measured(**_: Any) -> None:
    SHARE.save_now()


Value = TypeVar("Value")

# A restart of the database takes less; after longer, another worker repeats the work.
HOLD_SECONDS = 60.0
PAUSE_SECONDS = 1.0


def retry_while_unavailable(act: Callable[[], Value], seconds: float = HOLD_SECONDS) -> Value:
    """Call `act`, and repeat it while the ledger is unavailable, for `seconds` or until a shutdown.

    Raise LedgerUnavailable if that does not help. `act` may have been committed although the answer
    was lost, so it must be idempotent.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except LedgerUnavailable as error:
            if stopping() or time.monotonic() > end:
                raise
            log.warning("Waiting for the database: %s", error)
            time.sleep(PAUSE_SECONDS)


def begin_process(settings: Settings) -> None:
    """Prepare a pool process as it starts."""
    die_with_parent(os.getppid())
    os.nice(BEHIND_CALLERS)
    tune_malloc()
    limit_memory(settings.max_process_memory, settings.fetch_concurrency)
    gc.freeze()  # Modules loaded by now stay forever: the garbage collector need not scan them.


# The names of malloc.h, with their numbers.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
# The pixels of a large image get their own mapping, which is returned afterwards. Otherwise glibc
# raises this threshold up to 32 MiB, and the heap stays fragmented.
MAPPED_BYTES = 16 * 2**20
# The memory of smaller images is reused. By default all free memory beyond 128 KiB would be
# returned after each image and allocated again for the next, which takes a third of the time of a
# 0.5 MP photo.
KEPT_BYTES = 32 * 2**20
# By default each download thread may get its own arena, which never shrinks.
ARENAS = 2


def tune_malloc() -> bool:
    """Have malloc return large blocks at once; return False if it is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(name, value)
        for name, value in (
            (M_MMAP_THRESHOLD, MAPPED_BYTES),
            (M_TRIM_THRESHOLD, KEPT_BYTES),
            (M_ARENA_MAX, ARENAS),
        )
    )


# At least the size of a thread's stack in glibc if the main thread's stack is unlimited.
UNLIMITED_STACK = 8 * 2**20
# Fetching threads (pipeline.py) for each of FETCH_CONCURRENCY, including those that wait for
# origins that hang.
WITH_SLOW = 3
# The other threads of a worker process, with some in reserve.
OTHER_THREADS = 24


def limit_memory(most: int, concurrency: int) -> None:
    """Limit the memory in bytes of this process and its children; 0 for no limit.

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


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def process_name() -> str | None:
    """Return a unique name for this process, or None if there is no /proc."""
    try:
        return f"{_machine()}/{os.getpid()}/{_start_time(os.getpid())}"
    except OSError:
        return None


def is_dead(holder: str) -> bool:
    """Return whether a holder was a process of this machine and has ended."""
    try:
        machine, pid, start_time = holder.rsplit("/", 2)
        if machine != _machine():
            return False
        os.kill(int(pid), 0)
        return _start_time(int(pid)) != start_time
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False  # The process is not visible from here: only its lease decides.


def _machine() -> str:
    """Return the boot and the namespace that a process id belongs to: a container has its own."""
    return f"{BOOT_ID.read_text().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


def _start_time(pid: int) -> str:
    """Return when a process started, in ticks since the boot; see proc(5). Raise OSError.

    A zombie, which holds nothing any more, has none.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
