"""Secrets that the service generates, each in a file that only its owner can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4


def read_or_make(path: Path, make: Callable[[], str]) -> tuple[str, ...]:
    """Return the secrets in a file; a missing file is created, with one secret.

    If processes start together, one creates it, and all read the same.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = _written_beside(path, [make()])
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return read(path)


def read(path: Path) -> tuple[str, ...]:
    """Return the secrets in a file, one per line; none if there is no file."""
    try:
        return tuple(path.read_text(encoding="ascii").split())
    except FileNotFoundError:
        return ()


def replace(path: Path, secrets: Iterable[str]) -> None:
    """Replace the secrets in a file."""
    _written_beside(path, secrets).replace(path)


def _written_beside(path: Path, secrets: Iterable[str]) -> Path:
    """Return a temporary file beside `path` with these secrets, readable only by its owner."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.writelines(f"{secret}\n" for secret in secrets)
    return temporary
