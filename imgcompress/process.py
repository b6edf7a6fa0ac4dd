"""Tie the life of a process to its parent's.

As a script, `python process.py PARENT_PID PROGRAM [ARG…]`, it becomes another program that ends
with its parent: so a supervisor need not run Python code between fork and exec. It imports the
standard library alone, so that this takes milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

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


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
