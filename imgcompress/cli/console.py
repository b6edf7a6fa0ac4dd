"""What `flask serve` shows: its own words, and the lines of the programs that it runs."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

log = logging.getLogger(__name__)

NAME_WIDTH = 7


@dataclass(frozen=True)
class Console:
    """A place for lines: text for people, or only JSON, where logs are written so.

    Whoever read them may be gone, or their disk be full: the service goes on all the same.
    """

    json: bool = False

    def say(self, text: str, **style: Any) -> None:
        """Say something of our own."""
        if self.json:
            log.info(text)
        else:
            _write(click.style(text, **style))

    def pass_on(self, program: str, line: str, colour: str) -> None:
        """Show a line of a program."""
        if not self.json:
            _write(click.style(f"{program:{NAME_WIDTH}} | ", fg=colour) + line)
        elif line.startswith("{"):
            _write(line)
        else:
            log.info(line, extra={"program": program})


def _write(line: str) -> None:
    with suppress(OSError):
        click.echo(line)
