"""Addresses that lead nowhere: what is wrong with them, where it can be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, RequestRedirect, Rule

from .ids import parse_id

# Stands in for an id that is missing; no id is written like this.
STAND_IN = "~"
MISSING = re.compile(r"(?<=/)(?=[/.]|$)")
# Methods that are named to a caller who used a wrong one. A call that deletes is not proposed.
PROPOSED = ("GET", "POST")


def diagnose(error: NotFound | MethodNotAllowed) -> tuple[int, str, str]:
    """Return the status, the code and the public detail for a request that reached no call."""
    adapter = current_app.create_url_adapter(request)
    without_id = adapter and _call_without_id(adapter)
    if without_id:
        return 404, "missing_id", (
            "The URL has no id, as happens when a variable in a script is empty, so nothing was"
            f" done. Add the id: {request.method} {without_id.rule}")
    if isinstance(error, MethodNotAllowed) and not _deletes_what_is_no_job(error):
        proposed = ", ".join(method for method in PROPOSED if method in (error.valid_methods or ()))
        advice = f"Use {proposed}." if proposed else "/docs lists all calls."
        return 405, "method_not_allowed", f"{request.method} is not allowed here. {advice}"
    bare = request.path.rstrip("/")
    exact = adapter and bare != request.path and _rule_at(adapter, bare)
    # What stands before the slash may be a word of another call, whose id is missing.
    if exact and (not exact.arguments or parse_id(bare.rpartition("/")[2])):
        return 404, "trailing_slash", (
            "The path must not end in a slash, so nothing was done. Leave the slash out:"
            f" {request.method} {exact.rule}")
    return 404, "not_found", "There is nothing at this address. Check the path and the id in it."


def _call_without_id(adapter: MapAdapter) -> Rule | None:
    """Return the call that the request would have reached with one id more."""
    for path in _with_one_more(request.path):
        rule = _rule_at(adapter, path)
        if rule:
            return rule
    return None


def _with_one_more(path: str) -> Iterator[str]:
    filled, empty = MISSING.subn(STAND_IN, re.sub("/+$", "/", path))
    if not empty:
        filled = f"{path}/{STAND_IN}"
    yield filled
    yield f"{filled}.{STAND_IN}"


def _rule_at(adapter: MapAdapter, path: str) -> Rule | None:
    """Return the call at this path, or None where there is none, or only files of the pages."""
    try:
        rule, _ = adapter.match(path, request.method, return_rule=True)
    except (HTTPException, RequestRedirect):
        return None
    return None if rule.endpoint.endswith(".static") else rule


def _deletes_what_is_no_job(error: MethodNotAllowed) -> bool:
    """Return whether only DELETE could be used, on a word that is not the id of a job."""
    is_id = parse_id(request.path.rpartition("/")[2]) is not None
    return not is_id and not {*(error.valid_methods or ())} - {"DELETE", "OPTIONS"}
