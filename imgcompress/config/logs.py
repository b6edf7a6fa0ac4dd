"""The settings of logs."""

from __future__ import annotations

FORMATS = ("console", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def parse_format(text: str) -> str:
    """Return one of FORMATS. Raise ValueError."""
    if text.lower() not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    return text.lower()


def parse_level(text: str) -> str:
    """Return one of LEVELS. Raise ValueError."""
    if text.upper() not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return text.upper()
