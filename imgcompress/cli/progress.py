"""The progress of images on a terminal, and a summary at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

import click

from ..client import FailureGroup
from ..errors import IMAGE_ERRORS
from .wording import in_options

if TYPE_CHECKING:
    from rich.progress import Progress

# The seconds between lines where there is no terminal, such as in the log of a cron job.
LINE_SECONDS = 15.0
SHOWN_GROUPS = 20


class ImageProgress:
    """A bar with the number of images, their rate and the time left; lines where no terminal is."""

    def __init__(self, label: str = "Compressing") -> None:
        self._label = label
        self._said = time.monotonic()
        self._bar: Progress | None = None
        self._done = 0
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task(label, total=None, note="")

    def __enter__(self) -> ImageProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, done: int, total: int, failed: int = 0) -> None:
        """Show how many images have ended, and how many of them failed."""
        note = f"{failed:,} failed" if failed else ""
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, note=note)
        elif time.monotonic() - self._said >= LINE_SECONDS and done != self._done:
            rate = (done - self._done) / (time.monotonic() - self._said)
            self._said, self._done = time.monotonic(), done
            parts = [f"{self._label}: {done:,} of {total:,}", f"{rate:.1f}/s", note]
            click.echo(", ".join(filter(None, parts)), err=True)


def _bar() -> Progress:
    """Return an empty bar on standard error."""
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Rate(progress.ProgressColumn):
        """The images per second over the last half minute."""

        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        Rate(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}", style="red"),
        console=Console(stderr=True),
    )


def show_totals(total: int, failed: int, before: int, after: int) -> None:
    """Show how many images were compressed, and what was saved."""
    compressed = total - failed
    parts = [f"{compressed:,} of {total:,} images compressed"]
    if compressed and before:
        share = 100 * (before - after) / before
        parts.append(f"{size(before)} before, {size(after)} after, {share:.1f} % saved")
    if failed:
        parts.append(f"{failed:,} failed")
    click.secho("; ".join(parts) + ".", err=True, bold=True, fg="red" if failed else "green")


def show_failures(
    groups: Iterable[FailureGroup], reworded: Callable[[str], str] = in_options
) -> None:
    """Show the failures by reason, each with advice, which is `reworded`."""
    groups = list(groups)
    for group in groups[:SHOWN_GROUPS]:
        found = f": {group.found}" if group.found else ""
        at = f" at {group.host}" if group.host else ""
        where = f", first in row {group.example_row}" if group.example_row else ""
        click.echo(f"  {group.count:,} × {group.code}{at}{found}{where}", err=True)
        if group.code in IMAGE_ERRORS:
            click.echo(f"      {reworded(IMAGE_ERRORS[group.code].advice)}", err=True)
    if len(groups) > SHOWN_GROUPS:
        click.echo(f"  … and {len(groups) - SHOWN_GROUPS} more reasons", err=True)


def size(number: int) -> str:
    """Return a human-readable number of bytes: kB, MB and GB are powers of ten."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return f"{number / 1e3:.1f} kB"
