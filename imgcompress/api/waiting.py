"""Answers that wait for a change, so that callers need not poll often."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, current_app, request

from ..ledger.queries import Progress, progress_of
from .auth import current_owner
from .ids import parse_id
from .waiting_places import Places

POLL_SECONDS = 0.5
# Each of them asks the ledger twice in a second. Most of the web server's threads stay free.
MAX_WAITERS = 32
_places = Places(MAX_WAITERS)


def waiting(view: Callable[[str], Response]) -> Callable[[dict[str, Any], str], Response]:
    """Hold the answer back for up to `wait` seconds while the job's status and percentage stay.

    A caller whose If-None-Match no longer holds is answered at once, and so is one for whom there
    is no place to wait, or whose place another owner of jobs needs more.
    """
    @wraps(view)
    def wrapper(query: dict[str, Any], request_id: str) -> Response:
        if not query["wait"]:
            return view(request_id)
        seen = _progress(request_id)
        answer = view(request_id)
        is_news = bool(request.if_none_match) and answer.status_code != 304
        if is_news or seen is None or seen.ended:
            return answer
        return view(request_id) if _wait(request_id, seen, query["wait"]) else answer

    return wrapper


def _wait(request_id: str, seen: Progress, seconds: float) -> bool:
    """Wait for a change; return False when there was no place to wait.

    No transaction is open meanwhile.
    """
    with _places.taken(current_owner() or "", request_id) as place:
        if place is None:
            return False
        end = time.monotonic() + seconds
        while (_progress(request_id) == seen and _serving() and not place.lost
               and time.monotonic() < end):
            time.sleep(min(POLL_SECONDS, max(0.0, end - time.monotonic())))
        return True


def _progress(request_id: str) -> Progress | None:
    parsed = parse_id(request_id)
    return progress_of(parsed) if parsed else None


def _serving() -> bool:
    """Tell whether the web server goes on; gunicorn's settings put the function there."""
    serving: Callable[[], bool] = current_app.extensions.get("serving", lambda: True)
    return serving()
