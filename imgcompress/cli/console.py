"""What `flask serve` shows: its own words, and the lines of the programs that it runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import click

log = logging.getLogger(__name__)

NAME_WIDTH = 7


@dataclass(frozen=True)
class Console:
    """A place for lines: text for people, or only JSON, where logs are written so."""

    json: bool = False

    def say(self, text: str, **style: Any) -> None:
        """Say something of our own."""
        if self.json:
            log.info(text)
        else:
            click.secho(text, **style)

    def pass_on(self, program: str, line: str, colour: str) -> None:
        """Show a line of a program."""
        if not self.json:
            click.echo(click.style(f"{program:{NAME_WIDTH}} | ", fg=colour) + line)
        elif line.startswith("{"):
            click.echo(line)
        else:
            log.info(line, extra={"program": program})
