"""The runs of all rounds, their medians and ratios, and the targets that they are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from .measured import Measured

BARE, NAIVE, BULK = "bare Pillow loop", "naive loop", "img2dataset, steady"
FIXED, HALVED, DISTANT = "service, fixed quality", "service, 50 %", "service, distant origin"
LOW = "service, fixed quality, low effort"
Number = Callable[[Measured], float]


@dataclass(frozen=True)
class Target:
    """A ratio of one contestant to another, of images per second or else of CPU per image."""

    photos: str
    who: str
    to: str
    wanted: float
    of_cpu: bool = False

    def described(self) -> str:
        """Say what is wanted."""
        what, least = ("CPU per image", "at most") if self.of_cpu else ("images/s", "at least")
        return f"{self.photos}: {what} of `{self.who}`, {least} {self.wanted} x `{self.to}`"

    def is_met(self, ratio: float) -> bool:
        """Return whether a ratio is as wanted, to two decimals."""
        return round(ratio, 2) <= self.wanted if self.of_cpu else round(ratio, 2) >= self.wanted


TARGETS = (
    Target("catalogue", LOW, BULK, 1.2),
    Target("camera", LOW, BULK, 1.3),
    Target("phone", LOW, BULK, 1.2),
    Target("catalogue", HALVED, BULK, 0.95),
    Target("camera", HALVED, BULK, 0.95),
    Target("catalogue", FIXED, BARE, 0.85),
    Target("camera", FIXED, BARE, 1.05),
    Target("catalogue", FIXED, NAIVE, 2.4),
    Target("camera", FIXED, NAIVE, 2.4),
    Target("catalogue", HALVED, FIXED, 1.7, of_cpu=True),
    Target("camera", HALVED, FIXED, 1.7, of_cpu=True),
    Target("catalogue", DISTANT, BARE, 0.60),
)


@dataclass
class Scoreboard:
    """What every contestant measured in each round, by the photos and its name."""

    runs: dict[tuple[str, str], dict[int, Measured]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    missing: dict[str, str] = field(default_factory=dict)

    def note(self, photos: str, who: str, number: int, measured: Measured) -> None:
        """Take the run of a contestant in the round of this number."""
        self.runs[photos, who][number] = measured

    def median(self, photos: str, who: str, number: Number) -> float:
        """Return the median of a number over the rounds."""
        return median(map(number, self.runs[photos, who].values()))

    def ratio(self, photos: str, who: str, to: str, number: Number) -> float | None:
        """Return the median over the rounds of a ratio within a round; None if not both ran."""
        ours, theirs = (self.runs.get((photos, name), {}) for name in (who, to))
        ratios = [number(ours[each]) / number(theirs[each]) for each in ours if each in theirs]
        return median(ratios) if ratios else None

    def print(self) -> None:
        """Print the table of runs and the table of targets, in Markdown."""
        print("| photos | by | images/s | of bare | CPU ms per image | of bare |")
        print("|---|---|--:|--:|--:|--:|")
        for photos, who in self.runs:
            print(
                f"| {photos} | {who} | {self.median(photos, who, _rate):.0f} "
                f"| {_formatted(self.ratio(photos, who, BARE, _rate))} "
                f"| {self.median(photos, who, _cpu):.2f} "
                f"| {_formatted(self.ratio(photos, who, BARE, _cpu))} |"
            )
        for who, why in self.missing.items():
            print(f"\n{who}, not measured: {why}")
        print("\n| target | measured | met |")
        print("|---|--:|---|")
        for target in TARGETS:
            if (target.photos, BARE) in self.runs:
                print(f"| {target.described()} | {self._verdict(target)} |")

    def _verdict(self, target: Target) -> str:
        ratio = self.ratio(target.photos, target.who, target.to, _cpu if target.of_cpu else _rate)
        if ratio is None:
            return "not measured | "
        return f"{ratio:.2f} | {'yes' if target.is_met(ratio) else 'no'}"


def _rate(run: Measured) -> float:
    return run.rate


def _cpu(run: Measured) -> float:
    return run.cpu_per_image


def _formatted(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
