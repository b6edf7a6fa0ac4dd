"""Idempotency keys: an upload that is sent twice makes one job, and gets the same answer.

After https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, delete, or_, update
from sqlalchemy.orm import Session

from ..errors import ImgcompressError
from .clock import NOW, from_now
from .models import IdempotencyKey
from .session import insert_into, rowcount, writing

KEPT = timedelta(hours=24)
# A request without an answer for this long counts as dead, and its key is free again.
LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class KeyClaim:
    """The right to answer for a key, as long as nobody else has claimed it since."""

    owner: str
    key: str
    claim: str


class KeyInUse(ImgcompressError):
    """The first request with the key is still being answered."""

    code = "idempotency_key_in_use"
    message = (
        "The first request with this idempotency key is still in progress. Send it again in"
        " a moment to get the same response."
    )
    retryable = True


class KeyReused(ImgcompressError):
    """The key belongs to another request."""

    code = "idempotency_key_reused"
    message = (
        "This idempotency key was already used for another file or other options. Use a new"
        " key for a new upload."
    )


def claim_key(owner: str | None, key: str, fingerprint: str) -> KeyClaim | dict[str, Any]:
    """Claim a key for a request, or return the answer to the first request with it.

    Raise KeyInUse and KeyReused.
    """
    claim = KeyClaim(owner or "", key, uuid4().hex)
    with writing() as session:
        if _insert(session, claim, fingerprint) or _take_over(session, claim, fingerprint):
            return claim
        known = session.get_one(IdempotencyKey, (claim.owner, claim.key))
    if known.fingerprint != fingerprint:
        raise KeyReused()
    if known.answer is None:
        raise KeyInUse()
    return known.answer


def _insert(session: Session, claim: KeyClaim, fingerprint: str) -> int:
    return rowcount(
        session.execute(
            insert_into(session, IdempotencyKey)
            .values(owner=claim.owner, key=claim.key, **_fresh(claim, fingerprint))
            .on_conflict_do_nothing()
        )
    )


def _take_over(session: Session, claim: KeyClaim, fingerprint: str) -> int:
    """Claim a key that is too old, or whose request died before it was answered."""
    return rowcount(
        session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.owner == claim.owner, IdempotencyKey.key == claim.key, _is_free())
            .values(**_fresh(claim, fingerprint))
            .execution_options(synchronize_session=False)
        )
    )


def _fresh(claim: KeyClaim, fingerprint: str) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "claim": claim.claim,
        "lease_until": from_now(LEASE),
        "answer": None,
        "created_at": NOW,
    }


def _is_free() -> ColumnElement[bool]:
    # A lease this long was written before the clock was set back.
    over = or_(IdempotencyKey.lease_until < NOW, IdempotencyKey.lease_until > from_now(2 * LEASE))
    died = and_(_is_unanswered(), over)
    return or_(IdempotencyKey.created_at < from_now(-KEPT), died)


def _is_unanswered() -> ColumnElement[bool]:
    return IdempotencyKey.answer.is_(None)


def keep_answer(session: Session, claim: KeyClaim, answer: dict[str, Any]) -> None:
    """Store the answer, in the transaction that it reports on.

    Raise KeyInUse if the claim is no longer valid; the transaction must then be rolled back.
    """
    kept = rowcount(
        session.execute(update(IdempotencyKey).where(*_claimed(claim)).values(answer=answer))
    )
    if not kept:
        raise KeyInUse()


def free_key(claim: KeyClaim) -> None:
    """Free a key whose request did nothing, so that a better one may use it."""
    with writing() as session:
        session.execute(delete(IdempotencyKey).where(*_claimed(claim), _is_unanswered()))


def _claimed(claim: KeyClaim) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.owner == claim.owner,
        IdempotencyKey.key == claim.key,
        IdempotencyKey.claim == claim.claim,
    )


def delete_expired_keys() -> int:
    """Delete expired keys; return how many there were."""
    with writing() as session:
        return rowcount(
            session.execute(
                delete(IdempotencyKey)
                .where(IdempotencyKey.created_at < from_now(-KEPT))
                .execution_options(synchronize_session=False)
            )
        )
