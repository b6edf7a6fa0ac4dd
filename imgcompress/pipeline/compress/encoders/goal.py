"""What an encoder is to reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """At most `budget` bytes at the best quality not under `floor`, or one fixed `quality`.

    Both qualities are on the JPEG scale, 1 to 95; `smallest` allows slow settings.
    """

    budget: int
    floor: int
    quality: int | None = None
    smallest: bool = False
