"""Keep Pillow's warnings about odd files out of the logs: the result says what matters."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0
_filters: warnings.catch_warnings[None] | None = None


@contextmanager
def pillow_silenced() -> Iterator[None]:
    """Ignore the warnings of Pillow's modules; the first user in sets the filter, the last resets.

    `warnings.catch_warnings` alone swaps state of the whole process: two threads that leave it
    in the wrong order would leave the filter behind.
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
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")


def _leave() -> None:
    global _users, _filters
    with _lock:
        _users -= 1
        if _users == 0 and _filters is not None:
            _filters.__exit__(None, None, None)
            _filters = None
