"""The secrets that sign webhooks: from the settings, or made at first use and kept in a file."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from .. import key_files
from ..config.webhooks import SECRET_PREFIX

# Standard Webhooks asks for 24 to 64 random bytes.
NEW_SECRET_BYTES = 32


def signing_secrets(configured: Sequence[str], data_dir: Path) -> tuple[str, ...]:
    """Return the active secrets, the newest first; there are two while one replaces the other.

    They are those configured, else those in the file under `data_dir`, which is made when it is
    missing and can be read by its owner alone. Several machines need the setting, since each
    would make a secret of its own.
    """
    if configured:
        return tuple(configured)
    return key_files.read_or_make(secret_file(data_dir), _new_secret)


def secret_file(data_dir: Path) -> Path:
    """Return the file that holds the secrets that were made here, one in each line."""
    return data_dir / "webhook_secret"


def rotate(data_dir: Path) -> tuple[str, ...]:
    """Put a new secret before the newest one, which goes on signing; an older one ends."""
    newest, *_ = signing_secrets((), data_dir)
    return _replace(data_dir, (_new_secret(), newest))


def retire(data_dir: Path) -> tuple[str, ...]:
    """Remove the older of two secrets."""
    newest, *_ = signing_secrets((), data_dir)
    return _replace(data_dir, (newest,))


def _new_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(NEW_SECRET_BYTES)).decode()


def _replace(data_dir: Path, active: tuple[str, ...]) -> tuple[str, ...]:
    key_files.replace(secret_file(data_dir), active)
    return active
