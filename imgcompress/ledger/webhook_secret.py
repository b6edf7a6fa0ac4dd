"""The installation's own webhook secrets, which all of its machines share.

They come from WEBHOOK_SECRET, or else from the ledger, where they are created at first use: sealed
if there is a SECRETS_KEY, and plain if only files of single machines could open a seal.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence

from sqlalchemy import select, update

from .. import key_files
from ..extensions import current_settings
from ..setting_parsers import SECRET_PREFIX
from .models import Installation
from .seals import SealBroken, is_newest_seal, seal, unseal
from .session import insert_into, reading, rowcount, writing

# Standard Webhooks asks for 24 to 64 random bytes.
NEW_SECRET_BYTES = 32
# The file of a machine's secrets in versions before 0.2, under DATA_DIR.
OLD_FILE = "webhook_secret"
# The name of the row. Its value has the newest secret first.
NAME = "webhook_secrets"


def signing_secrets() -> tuple[str, ...]:
    """Return the active secrets, the newest first; there are two during a rotation.

    Raise SealBroken.
    """
    return current_settings().webhook_secrets or _opened(_kept())


def rotate() -> tuple[str, ...]:
    """Put a new secret before the newest one, which still signs; an older one is removed.

    A secret that cannot be read any more is removed as well.
    """

    def with_new(kept: str) -> tuple[str, ...]:
        try:
            return _new_secret(), *_opened(kept)[:1]
        except SealBroken:
            return (_new_secret(),)

    return _change(with_new)


def retire() -> tuple[str, ...]:
    """Remove the older of two secrets. Raise SealBroken."""
    return _change(lambda kept: _opened(kept)[:1])


def reseal_installation() -> int:
    """Seal the secrets with the newest key, if there is one; return how many rows changed.

    Raise SealBroken.
    """
    kept = _read()
    if kept is None or not current_settings().secrets_keys or is_newest_seal(kept):
        return 0
    return _replace(kept, _opened(kept))


def _kept() -> str:
    """Return the stored value; if machines start together, one creates it."""
    return _read() or _make()


def _read() -> str | None:
    with reading() as session:
        return session.scalar(select(Installation.value).where(Installation.name == NAME))


def _make() -> str:
    """Take over the file of an earlier version, or create a secret; return the stored value."""
    first = key_files.read(current_settings().data_dir / OLD_FILE) or (_new_secret(),)
    with writing() as session:
        session.execute(
            insert_into(session, Installation)
            .values(name=NAME, value=_closed(first))
            .on_conflict_do_nothing()
        )
        return session.scalars(select(Installation.value).where(Installation.name == NAME)).one()


def _change(change: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """Replace the stored value by `change` of it, even while others replace it too."""
    while True:
        kept = _kept()
        active = change(kept)
        if _replace(kept, active):
            return active


def _replace(kept: str, active: Sequence[str]) -> int:
    with writing() as session:
        return rowcount(
            session.execute(
                update(Installation)
                .where(Installation.name == NAME, Installation.value == kept)
                .values(value=_closed(active))
            )
        )


def _closed(active: Sequence[str]) -> str:
    text = " ".join(active)
    return seal(text) if current_settings().secrets_keys else text


def _opened(kept: str) -> tuple[str, ...]:
    return tuple((kept if kept.startswith(SECRET_PREFIX) else unseal(kept)).split())


def _new_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(NEW_SECRET_BYTES)).decode()
