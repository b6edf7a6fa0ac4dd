"""API keys: only their hashes are kept."""

from __future__ import annotations

import secrets
from hashlib import sha256

from sqlalchemy import select, update

from .models import ApiKey, utcnow
from .session import reading, rowcount, writing

TOKEN_BYTES = 32
# So that people, and scanners for leaked secrets, see what it is.
TOKEN_PREFIX = "imgc_"
SHOWN_CHARS = 12


def create_key(name: str) -> str | None:
    """Give this name a key, and return its token, which cannot be had again.

    A name has one key at a time: return None when it has one. A key that takes the place of a
    revoked one sees the jobs of its name.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with writing() as session:
        key = session.get(ApiKey, name, with_for_update=True)
        if key is not None and key.revoked_at is None:
            return None
        session.merge(
            ApiKey(
                name=name,
                prefix=token[:SHOWN_CHARS],
                token_hash=_hash(token),
                created_at=utcnow(),
                revoked_at=None,
            )
        )
    return token


def list_keys() -> list[ApiKey]:
    """Return all keys, the revoked ones too, by name."""
    with reading() as session:
        return list(session.scalars(select(ApiKey).order_by(ApiKey.name)))


def revoke_key(name: str) -> bool:
    """End the key of this name at once; return whether it had one."""
    with writing() as session:
        return bool(
            rowcount(
                session.execute(
                    update(ApiKey)
                    .where(ApiKey.name == name, ApiKey.revoked_at.is_(None))
                    .values(revoked_at=utcnow())
                )
            )
        )


def owner_of(token: str) -> str | None:
    """Return the name that a token belongs to, by one look into an index; None for no valid one."""
    with reading() as session:
        return session.scalar(
            select(ApiKey.name).where(
                ApiKey.token_hash == _hash(token), ApiKey.revoked_at.is_(None)
            )
        )


def _hash(token: str) -> str:
    """Return the hash of a token, which is random enough for a hash without salt or delay."""
    return sha256(token.encode()).hexdigest()
