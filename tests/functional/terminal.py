"""A command in a pseudo-terminal, as a person at a keyboard has it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROWS, COLUMNS = 40, 120
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """A running command; `text` is what it has shown, without colours and movements."""

    def __init__(
        self, command: Sequence[str | Path], environment: dict[str, str], folder: Path
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._output = b""
        self.process = subprocess.Popen(
            command,
            env=environment | {"TERM": "xterm-256color"},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Ctrl-C goes to the processes that have this as their terminal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._master)

    @property
    def text(self) -> str:
        """Return what was shown so far."""
        return CONTROL.sub("", self._output.decode(errors="replace"))

    def type(self, keys: str) -> None:
        """Press keys; "\\x03" is Ctrl-C."""
        os.write(self._master, keys.encode())

    def kill(self) -> None:
        """End the command as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait_for(self, pattern: str, seconds: float = 60) -> None:
        """Wait until the pattern is shown."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < end and self.process.poll() is None, self.text
            time.sleep(0.05)

    def exit_code(self, seconds: float = 90) -> int:
        """Wait for the end of the command; return its exit code."""
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def _read(self) -> None:
        with suppress(OSError):  # Linux answers EIO when the last program has left the terminal.
            while piece := os.read(self._master, 4096):
                self._output += piece
