"""The text of `.env.example`, and a check for misspelt names in `.env`."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from textwrap import wrap
from typing import Any

from dotenv import dotenv_values

from .config import DATABASE_PARTS, declared_settings, variables

# Shorter names, and names that differ more, belong to other programs too often.
SHORTEST_MISSPELT = 6
LEAST_ALIKE = 0.85


def misspelt_settings(env_file: Path | None = Path(".env")) -> dict[str, str]:
    """Return names in the environment and `.env` that resemble a setting's, with that setting."""
    known = variables()
    given = set(os.environ)
    if env_file is not None and env_file.is_file():
        given |= set(dotenv_values(env_file))
    close = {
        name: get_close_matches(name.upper(), known, n=1, cutoff=LEAST_ALIKE)
        for name in given.difference(known)
        if len(name) >= SHORTEST_MISSPELT
    }
    return {name: matches[0] for name, matches in sorted(close.items()) if matches}


EXAMPLE_WIDTH = 100
EXAMPLE_BEGINNING = """\
# All settings of imgcompress. Copy this file to `.env` and change what you need. A setting that is
# missing, commented or empty has its default. Environment variables override `.env`.
"""


def env_example() -> str:
    """Return the text of `.env.example`: each setting's help and default."""
    lines = []
    for _, variable, _, declared in declared_settings():
        if declared.section:
            lines += ["", f"# --- {declared.section} ".ljust(EXAMPLE_WIDTH - 2, "-"), ""]
        lines += _comment(declared.help)
        unset = declared.default in (None, "")
        value = declared.example if unset else _written(declared.default)
        lines.append(f"{'# ' if unset else ''}{variable}={value}")
        if variable == "DATABASE_URL":
            lines += _comment(
                "Postgres in parts, used if DATABASE_URL is unset and DB_HOST is set."
            )
            lines += [f"# {part}={default}" for part, (_, default) in DATABASE_PARTS.items()]
    return EXAMPLE_BEGINNING + "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [
        f"# {line}"
        for paragraph in text.splitlines()
        for line in wrap(
            paragraph, EXAMPLE_WIDTH - 2, break_long_words=False, break_on_hyphens=False
        )
    ]


def _written(default: Any) -> str:
    """Return a default as text for its variable."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    sys.stdout.write(env_example())
