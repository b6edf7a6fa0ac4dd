"""The reaper: a small process that kills what a killed supervisor leaves behind.

It reads the ids of process groups from a pipe whose other end only the supervisor holds. When the
supervisor ends, however that happens, the pipe does too, and the groups still named are killed.
This covers grandchildren, and systems without PR_SET_PDEATHSIG. As a script it imports the
standard library alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress


class Reaper:
    """The supervisor's side: start the reaper process and name the groups to guard."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = _start()

    def guard(self, group: int) -> None:
        """Kill this process group should the supervisor end before `release`."""
        self._groups.add(group)
        self._tell(f"+{group}")

    def release(self, group: int) -> None:
        """Guard this process group no longer."""
        self._groups.discard(group)
        self._tell(f"-{group}")

    def revive(self) -> None:
        """Start a new reaper when the last one has ended."""
        if self._process.poll() is None:
            return
        self.close()
        self._process = _start()
        for group in self._groups:
            self._tell(f"+{group}")

    def close(self) -> None:
        """Close the pipe and wait for the reaper, which kills what is still guarded."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # A reaper that has just died is replaced by `revive`, which sends all groups again.
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()


def _start() -> subprocess.Popen[str]:
    # A separate session: a signal to the supervisor's process group does not reach the reaper.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _watch(lines: Iterable[str]) -> None:
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
    _watch(sys.stdin)
