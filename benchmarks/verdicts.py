"""Tables of what was measured beside what was aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verdict:
    """A figure, its target (None where there is none), and whether more of it is better."""

    name: str
    found: float
    target: float | None = None
    unit: str = ""
    more_is_better: bool = False

    @property
    def met(self) -> str:
        """Return whether the target is met."""
        if self.target is None:
            return ""
        good = self.found >= self.target if self.more_is_better else self.found <= self.target
        return "met" if good else "**not met**"

    @property
    def aim(self) -> str:
        """Return the target as a text."""
        if self.target is None:
            return ""
        word = "at least" if self.more_is_better else "at most"
        return f"{word} {_formatted(self.target)} {self.unit}"


def print_verdicts(title: str, verdicts: list[Verdict]) -> None:
    """Print a table in Markdown."""
    print(f"\n{title}\n\n| | found | target | |\n|---|---|---|---|")
    for one in verdicts:
        print(f"| {one.name} | {_formatted(one.found)} {one.unit} | {one.aim} | {one.met} |")
    print(flush=True)


def resident(process: int, name: str) -> float:
    """Return a figure of /proc/<process>/status, such as VmRSS or VmHWM, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def cpu_seconds(process: int) -> float:
    """Return the processor time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def children(process: int) -> list[int]:
    """Return the ids of a process's children."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _formatted(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
