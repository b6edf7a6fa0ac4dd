"""What one run of one contestant took, and the CPU time of a tree of processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


class Disturbed(Exception):
    """Other work on the machine has spoilt a run; the message says how that was seen."""


@dataclass(frozen=True)
class Measured:
    """One run: how many images, how long by the clock, and the CPU seconds of all processes."""

    images: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Return images per second by the clock."""
        return self.images / self.seconds

    @property
    def cpu_per_image(self) -> float:
        """Return the milliseconds of CPU time that an image took."""
        return 1000 * self.cpu_seconds / self.images

    def beyond(self, smaller: Measured) -> Measured:
        """Return what the images took that this run had more than a smaller one.

        What both spent once, on starting up, is in neither. Raise Disturbed when the smaller run
        took longer, which says nothing about the images.
        """
        more = Measured(
            self.images - smaller.images,
            self.seconds - smaller.seconds,
            self.cpu_seconds - smaller.cpu_seconds,
        )
        if min(more.seconds, more.cpu_seconds) <= 0:
            raise Disturbed("a short run took longer than a long one")
        return more


def cpu_of_tree(root: int) -> float:
    """Return the CPU seconds of a process and all below it, those that have ended included."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(folder)):
            parents[int(folder.name)] = int(fields[1])
            spent[int(folder.name)] = sum(map(int, fields[11:15])) / _TICK
    return sum(seconds for process, seconds in spent.items() if _is_below(process, root, parents))


def _stat(folder: Path) -> list[str]:
    """Return the fields of /proc/<process>/stat from the state on; none if it has ended."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_below(process: int, root: int, parents: dict[int, int]) -> bool:
    while process and process != root:
        process = parents.get(process, 0)
    return process == root
