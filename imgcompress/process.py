"""Tie the life of a process to its parent's.

As a script, `python process.py PARENT_PID PROGRAM [ARG…]`, it becomes another program that ends
with its parent: so a supervisor need not run Python code between fork and exec. As `python process.py
reap` it kills the process groups that a supervisor has named, when that has ended. It imports only
the standard library, so that this takes milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent, of this process id, dies even by SIGKILL.

    See prctl(2), PR_SET_PDEATHSIG; elsewhere this does nothing. SIGKILL loses nothing: the ledger
    is always whole, and recovery repeats unfinished work.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # The parent died before it could be asked.


def reap(lines: Iterable[str]) -> None:
    """Follow the lines `+group` and `-group` to their end, then kill the groups that remain."""
    groups: set[int] = set()
    for line in lines:
        change = groups.add if line[0] == "+" else groups.discard
        change(int(line[1:]))
    for group in groups:
        # macOS answers EPERM for a group in which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "reap":
        reap(sys.stdin)
    else:
        die_with_parent(int(sys.argv[1]))
        os.execvp(sys.argv[2], sys.argv[2:])
