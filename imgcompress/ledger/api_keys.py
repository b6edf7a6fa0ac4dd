"""API keys: only their hashes are kept. A name has one key, or two during a rotation."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import delete, select, union_all, update
from sqlalchemy.orm import Session

from .models import ApiKey, ApiKeySuccessor, utcnow
from .session import reading, rowcount, writing

TOKEN_BYTES = 32
# So that people, and scanners for leaked secrets, recognise a token.
TOKEN_PREFIX = "imgc_"
# The beginning of a token is its id: 42 random bits, which reveal nothing about the rest.
SHOWN_CHARS = 12


@dataclass(frozen=True)
class Key:
    """A key as operators see it."""

    name: str
    id: str
    created_at: datetime
    revoked_at: datetime | None = None


class TooManyKeys(Exception):
    """The name has two valid keys; `ids` are theirs, the older one first."""

    def __init__(self, ids: tuple[str, str]) -> None:
        self.ids = ids
        super().__init__(f"two keys: {ids}")


def create_key(name: str) -> str:
    """Create a key for this name, and return its token, which cannot be shown again.

    All keys of a name see the same jobs, including keys that replace revoked ones. Raise
    TooManyKeys when the name has two.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    values = {"prefix": token[:SHOWN_CHARS], "token_hash": _hash(token), "created_at": utcnow()}
    with writing() as session:
        first = _locked(session, name)
        if first is None or first.revoked_at is not None:
            session.merge(ApiKey(name=name, revoked_at=None, **values))
            return token
        second = session.get(ApiKeySuccessor, name)
        if second is not None:
            raise TooManyKeys((first.prefix, second.prefix))
        session.add(ApiKeySuccessor(name=name, **values))
    return token


def list_keys() -> list[Key]:
    """Return all keys by name, including revoked ones, the older key of a name first."""
    with reading() as session:
        first = [
            Key(key.name, key.prefix, key.created_at, key.revoked_at)
            for key in session.scalars(select(ApiKey))
        ]
        second = [
            Key(key.name, key.prefix, key.created_at)
            for key in session.scalars(select(ApiKeySuccessor))
        ]
    return sorted([*first, *second], key=lambda key: (key.name, key.created_at))


def revoke_key(name: str, id: str | None = None) -> bool:
    """Revoke one key of this name, or all of them without an id; return whether there was one."""
    with writing() as session:
        first = _locked(session, name)
        if first is None:
            return False
        second = session.get(ApiKeySuccessor, name)
        if id is None:
            session.execute(delete(ApiKeySuccessor).where(ApiKeySuccessor.name == name))
        elif second is not None and id in (first.prefix, second.prefix):
            session.execute(delete(ApiKeySuccessor).where(ApiKeySuccessor.name == name))
            if id == first.prefix:
                # The second key moves to the first place, where the previous version finds it too.
                _replace(session, first, second)
            return True
        return bool(
            rowcount(
                session.execute(
                    update(ApiKey)
                    .where(
                        ApiKey.name == name,
                        ApiKey.prefix == (id or first.prefix),
                        ApiKey.revoked_at.is_(None),
                    )
                    .values(revoked_at=utcnow())
                )
            )
        )


def owner_of(token: str) -> str | None:
    """Return the name that a token belongs to, found by an index; None if it is invalid."""
    hashed = _hash(token)
    with reading() as session:
        return session.scalar(
            union_all(
                select(ApiKey.name).where(ApiKey.token_hash == hashed, ApiKey.revoked_at.is_(None)),
                select(ApiKeySuccessor.name).where(ApiKeySuccessor.token_hash == hashed),
            )
        )


def _locked(session: Session, name: str) -> ApiKey | None:
    """Return the first key of a name, locked so that its keys are changed one at a time."""
    return session.get(ApiKey, name, with_for_update=True)


def _replace(session: Session, first: ApiKey, second: ApiKeySuccessor) -> None:
    session.execute(
        update(ApiKey)
        .where(ApiKey.name == first.name, ApiKey.token_hash == first.token_hash)
        .values(
            prefix=second.prefix,
            token_hash=second.token_hash,
            created_at=second.created_at,
            revoked_at=None,
        )
    )


def _hash(token: str) -> str:
    """Return the hash of a token, which is random enough for a hash without salt or delay."""
    return sha256(token.encode()).hexdigest()
