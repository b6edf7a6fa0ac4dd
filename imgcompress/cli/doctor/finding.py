"""What the doctor finds."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """What was looked at, and in words what was found there and what to do."""

    level: Level
    name: str
    text: str


def ok(name: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.OK, name, text)


def warning(name: str, text: str) -> Finding:
    """Return what may do harm."""
    return Finding(Level.WARNING, name, text)


def fault(name: str, text: str) -> Finding:
    """Return what keeps the service from its work."""
    return Finding(Level.FAULT, name, text)
