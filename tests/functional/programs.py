"""Plain commands, as documents and deployments name them, run as processes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.support.service import ROOT, Service


def words(command: str) -> list[str]:
    """Return a command line as words, with programs of this environment."""
    program, *arguments = shlex.split(command)
    return [str(Path(sys.executable).with_name(program)), *arguments]


@contextmanager
def running(command: list[str], service: Service, folder: Path = ROOT) -> Iterator[None]:
    """Run a program with the settings and the log of a service."""
    with service.log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=service.environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield
        assert process.poll() is None, service.log
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    """Return whether a web server answers."""
    try:
        return requests.get(f"{url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False
