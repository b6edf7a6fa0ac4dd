"""One running process of the supervisor, in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .console import Console
from .programs import Program

LIFELINE = Path(__file__).parents[1] / "lifeline.py"
POLL_SECONDS = 0.05
# What a process has written just before its end is still shown.
LAST_WORDS_SECONDS = 2.0


class Child:
    """A started program; its lines appear on our standard output behind its name."""

    def __init__(self, program: Program, console: Console) -> None:
        self.program = program
        self._console = console
        # A group of its own: Ctrl-C in a terminal reaches the supervisor alone, which ends the
        # programs in their order.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LIFELINE), str(os.getpid()), *program.command],
            process_group=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace")
        self._printer = threading.Thread(target=self._print_lines, daemon=True)
        self._printer.start()

    @property
    def group(self) -> int:
        """Return the id of the process group, which is that of its first process."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code of the main process, or None while it runs."""
        return self._process.poll()

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask the program to end; kill it when its time is up, or as soon as `hurry` says so."""
        end = time.monotonic() + self.program.stop_seconds
        with suppress(ProcessLookupError):
            self._process.terminate()
        while self.exit_code() is None and time.monotonic() < end and not hurry():
            time.sleep(POLL_SECONDS)
        self.sweep()

    def sweep(self) -> None:
        """Kill whatever is left of the process group, and wait for its end."""
        # macOS answers EPERM for a group in which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        self._printer.join(LAST_WORDS_SECONDS)

    def _print_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.strip():
                    self._console.pass_on(self.program.name, line.rstrip(), self.program.colour)
