"""Prepare the next item while the caller is busy with this one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items that a thread takes from their source, each while the one before is in use.

    It gains time where the caller waits for a disk, or for a database that leaves Python alone.
    What the source raises is raised in the place of the item.
    """
    context = copy_context()

    def take() -> Item | None:
        return context.run(lambda: next(items, None))

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(take)
        while (item := coming.result()) is not None:
            coming = thread.submit(take)
            yield item
