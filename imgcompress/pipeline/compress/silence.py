"""Keep Pillow's warnings about odd files out of the logs: the result says what matters."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

_SILENCE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_lock = threading.Lock()
_users = 0
_filters: list[Any] = []


@contextmanager
def pillow_silenced() -> Iterator[None]:
    """Ignore the warnings of Pillow's modules; the first user in sets the filter, the last resets.

    `warnings.catch_warnings` copies all filters and makes Python forget what it has warned about,
    which takes longer; and two threads that leave it in the wrong order would leave the filter
    behind.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _filters
    with _lock:
        _users += 1
        if _users == 1:
            # The last one out needs this very list, whatever list is in force by then.
            _filters = cast(list[Any], warnings.filters)
            _filters.insert(0, _SILENCE)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and _SILENCE in _filters:
            _filters.remove(_SILENCE)
