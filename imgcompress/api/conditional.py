"""Answers that are not sent again to a caller who has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, request


def conditional(view: Callable[..., Response]) -> Callable[..., Response]:
    """Give the answer an ETag of what it says, and answer 304 when the caller has that one."""
    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Response:
        response = view(*args, **kwargs)
        # Weak, because a proxy may compress the answer on its way.
        response.add_etag(weak=True)
        response.make_conditional(request)
        return response

    return wrapper
