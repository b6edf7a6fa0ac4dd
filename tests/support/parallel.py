"""Do the same thing several times at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Value = TypeVar("Value")


def in_parallel(act: Callable[[int], Value], times: int) -> list[Value]:
    """Call `act` with 0, 1, 2 … in as many threads, which start together; return the results."""
    together = Barrier(times)

    def start(number: int) -> Value:
        together.wait(10)
        return act(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(start, range(times)))
