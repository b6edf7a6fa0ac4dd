"""One supervisor for each DATA_DIR: a file lock that the system drops when its holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

import click

LOCK_NAME = "serve.lock"


def lock_installation(data_dir: Path, place: str) -> TextIO:
    """Lock `data_dir` until the returned file is closed; `place` tells others where we answer.

    Raise ClickException, naming the holder, when another process has the lock.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = (data_dir / LOCK_NAME).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "starting"
        lock.close()
        raise click.ClickException(
            f"imgcompress is already running in {data_dir} ({holder}).\nStop that one first, or"
            " give this one its own DATA_DIR and PORT.") from None
    lock.truncate(0)
    lock.write(f"pid {os.getpid()}, {place}\n")
    lock.flush()
    return lock
