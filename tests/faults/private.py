"""Servers of a test's own, as programs on free ports of loopback, in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

END_SECONDS = 30


class NotInstalled(Exception):
    """A program that a scenario needs is not there."""


def program(name: str, *places: str) -> str:
    """Return the path of a program, found in PATH or in one of the places, which are patterns.

    Raise NotInstalled when there is none.
    """
    found = [
        str(path)
        for place in places
        for path in sorted(Path("/").glob(f"{place.lstrip('/')}/{name}"))
    ]
    path = found[-1] if found else shutil.which(name)
    if path is None:
        raise NotInstalled(f"{name} is not installed")
    return path


def as_user(user: str) -> list[str]:
    """Return what to put before a command that must not run as root."""
    return (
        [program("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        if os.geteuid() == 0
        else []
    )


@contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """Yield a temporary folder that belongs to the user, when this runs as root."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program, gently at first."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
