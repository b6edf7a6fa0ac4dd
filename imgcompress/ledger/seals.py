"""Secrets of callers, encrypted in the ledger with a key that the ledger does not hold.

The keys are those of SECRETS_KEY, then one derived from WEBHOOK_SECRET (which several machines
share anyway), then the one in a file under DATA_DIR, which is created if there is no other. The
first key seals, and every key opens. So a new key may be put first at any time, and the old one
removed after `reseal_secrets`.
"""

from __future__ import annotations

import logging
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from hmac import digest
from secrets import token_bytes
from uuid import UUID

from sqlalchemy import or_, select, update

from .. import key_files
from ..config import Settings
from ..errors import ImgcompressError
from ..extensions import current_settings
from .models import JobRequest, utcnow
from .session import reading, rowcount, writing

log = logging.getLogger(__name__)

KEY_BYTES = 32
# How a sealed value names its key: enough to identify it, and no help in guessing it.
NAME_CHARS = 8
RESEALED_AT_ONCE = 500
# How long older versions, which know only plain secrets, may run beside this one.
PLAIN_FOR = timedelta(days=1)


class SealBroken(ImgcompressError):
    """A secret cannot be read with any of the keys."""

    code = "secret_unreadable"
    message = (
        "The webhook_secret of this job can no longer be read. Upload the file again, or ask"
        " the operator to restore the SECRETS_KEY of that time."
    )


def seal(secret: str) -> str:
    """Encrypt a secret with the newest key."""
    from cryptography.fernet import Fernet  # Imported here, since most processes never need it.

    key = _keys(current_settings())[0]
    return f"{_name(key)}:{Fernet(key).encrypt(secret.encode()).decode()}"


def unseal(sealed: str) -> str:
    """Decrypt a secret with the key that sealed it. Raise SealBroken."""
    from cryptography.fernet import Fernet, InvalidToken

    name, _, token = sealed.partition(":")
    for key in _keys(current_settings()):
        if _name(key) == name:
            try:
                return Fernet(key).decrypt(token).decode()
            except InvalidToken:
                break
    raise SealBroken(
        detail=f"the key {name} is not among SECRETS_KEY, WEBHOOK_SECRET and the file"
        " in DATA_DIR, or what it sealed was changed"
    )


def is_newest_seal(sealed: str) -> bool:
    """Return whether the newest key sealed this value."""
    return sealed.startswith(f"{_name(_keys(current_settings())[0])}:")


def reseal_secrets() -> int:
    """Seal secrets that are in plain text or under an older key; return how many."""
    changed = lost = 0
    last: UUID | None = None
    while batch := _stale(last):
        for request_id, plain, sealed in batch:
            try:
                fresh = seal(unseal(sealed) if sealed is not None else plain or "")
            except SealBroken:
                lost += 1
            else:
                changed += _replace(request_id, plain, sealed, fresh)
        last = batch[-1][0]
    if lost:
        log.error("The webhook_secret of %d jobs cannot be read with any remaining key", lost)
    return changed


def _replace(request_id: UUID, plain: str | None, sealed: str | None, fresh: str) -> int:
    job = JobRequest
    found = job.webhook_secret == plain if sealed is None else job.sealed_secret == sealed
    with writing() as session:
        return rowcount(
            session.execute(
                update(job)
                .where(job.request_id == request_id, found)
                .values(sealed_secret=fresh, webhook_secret=None)
                .execution_options(synchronize_session=False)
            )
        )


def _stale(after: UUID | None) -> Sequence[tuple[UUID, str | None, str | None]]:
    """Return the jobs whose secret is not sealed by the newest key, in the order of their ids."""
    job, newest = JobRequest, _name(_keys(current_settings())[0])
    stale = or_(
        ~job.sealed_secret.startswith(f"{newest}:"),
        job.webhook_secret.is_not(None) & (job.created_at < utcnow() - PLAIN_FOR),
    )
    query = select(job.request_id, job.webhook_secret, job.sealed_secret).where(stale)
    if after is not None:
        query = query.where(job.request_id > after)
    with reading() as session:
        return [
            (row[0], row[1], row[2])
            for row in session.execute(query.order_by(job.request_id).limit(RESEALED_AT_ONCE))
        ]


def _keys(settings: Settings) -> list[bytes]:
    """Return all keys in the form that Fernet expects, the sealing key first."""
    shared = [
        digest(secret.encode(), b"imgcompress: secrets in the ledger", "sha256")
        for secret in settings.webhook_secrets
    ]
    configured = [*settings.secrets_keys, *map(_text, shared)]
    path = settings.data_dir / "secrets_key"
    kept = (
        key_files.read(path)
        if configured
        else key_files.read_or_make(path, lambda: _text(token_bytes(KEY_BYTES)))
    )
    return [key.encode() for key in (*configured, *kept)]


def _text(key: bytes) -> str:
    return urlsafe_b64encode(key).decode()


def _name(key: bytes) -> str:
    return sha256(key).hexdigest()[:NAME_CHARS]
