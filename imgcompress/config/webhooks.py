"""The settings of webhooks: the secrets that sign, and the schedule of attempts."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode

# Standard Webhooks, "Signature scheme": a secret is 24 to 64 random bytes, behind this prefix.
SECRET_PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
# The schedule that Standard Webhooks proposes ("Deliverability and reliability"): the pauses, in
# seconds, after the first, second … attempt, about three days in all.
RETRY_PAUSES = "5,300,1800,7200,18000,36000,50400,72000,86400"
LONGEST_PAUSE = 86_400
SECRETS_KEY_BYTES = 32
STANDARD_BASE64 = str.maketrans("-_", "+/")


def check_webhook_secret(text: str) -> None:
    """Raise ValueError, which does not show it, if `text` is no secret of Standard Webhooks."""
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64; create one with: echo"
                         " whsec_$(openssl rand -base64 32)")


def parse_secrets(text: str) -> tuple[str, ...]:
    """Return the active secrets, the newest first. Raise ValueError."""
    secrets = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(secrets) > 2:
        raise ValueError("can hold at most two secrets: the new one and the old one")
    for secret in secrets:
        check_webhook_secret(secret)
    return secrets


def parse_secrets_keys(text: str) -> tuple[str, ...]:
    """Return the keys that encrypt secrets in the ledger, the newest first. Raise ValueError."""
    keys = [part.strip() for part in text.split(",") if part.strip()]
    try:
        raw = [b64decode(key.translate(STANDARD_BASE64), validate=True) for key in keys]
    except (binascii.Error, ValueError):
        raw = [b""]
    if any(len(key) != SECRETS_KEY_BYTES for key in raw):
        raise ValueError("must be 32 bytes in base64, or several such keys separated by commas,"
                         " newest first; create one with: openssl rand -base64 32")
    return tuple(urlsafe_b64encode(key).decode() for key in raw)


def parse_pauses(text: str) -> tuple[float, ...]:
    """Return the pauses between attempts, in seconds. Raise ValueError."""
    pauses = tuple(float(part) for part in text.split(",") if part.strip())
    if not all(0 < pause <= LONGEST_PAUSE for pause in pauses):
        raise ValueError("must be a list of seconds, each above 0 and up to 86400, such as"
                         " 5,300,1800")
    return pauses
