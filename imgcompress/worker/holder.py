"""The name of this process as the holder of a lease, by which its machine knows that it has died.

A lease is there for workers on machines that fall silent. Where the worker was a process of this
machine, the kernel knows at once that it is gone.
"""

from __future__ import annotations

import os
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def process_name() -> str | None:
    """Return a name for this process that no other one has, or None where there is no /proc."""
    try:
        return f"{_machine()}/{os.getpid()}/{_start_time(os.getpid())}"
    except OSError:
        return None


def is_dead(holder: str) -> bool:
    """Tell whether a holder was a process of this machine and has ended."""
    try:
        machine, pid, start_time = holder.rsplit("/", 2)
        if machine != _machine():
            return False
        os.kill(int(pid), 0)
        return _start_time(int(pid)) != start_time
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False  # It cannot be seen: its lease will tell.


def _machine() -> str:
    """Return the boot and the namespace that a process id belongs to: a container has its own."""
    return f"{BOOT_ID.read_text().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


def _start_time(pid: int) -> str:
    """Return when a process started, in ticks since the boot; see proc(5). Raise OSError.

    A zombie, which holds nothing any more, has none.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
