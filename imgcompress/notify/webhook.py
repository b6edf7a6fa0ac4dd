"""Build, sign and send a webhook, and decide when a failed delivery is attempted again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from standardwebhooks import Webhook

from ..errors import NetworkError
from ..net import Session, parse_retry_after, post

JITTER = 0.2
MAX_RETRY_AFTER = 24 * 3600.0


@dataclass(frozen=True)
class Attempt:
    """The result of one attempt, and its consequences for the next one.

    `status` is the receiver's HTTP status, or None without an answer. `error` is a short code that
    callers may see. `final` means that no further attempt can help, `receiver_failing` that other
    deliveries to this receiver would fail too, and `unanswered` that its host did not answer at
    all. `retry_after` is in seconds.
    """

    delivered: bool
    status: int | None = None
    error: str = ""
    final: bool = False
    receiver_failing: bool = False
    unanswered: bool = False
    retry_after: float | None = None


GONE, TOO_MANY_REQUESTS = 410, 429


def send_webhook(
    session: Session,
    url: str,
    *,
    secrets: Sequence[str],
    event_id: str,
    payload: str,
    now: datetime,
    timeout: float,
) -> Attempt:
    """POST the payload once; a 2xx alone is success and a redirect is a failure.

    The id is the same in every attempt, the timestamp and the signatures are this attempt's. Data
    that the receiver sends besides its status is read up to 4 KiB and discarded.
    """
    headers = signed_headers(secrets, event_id, payload, now)
    try:
        answer = post(session, url, payload.encode(), headers, seconds=timeout)
    except NetworkError as error:
        not_allowed = error.code == "url_not_allowed"
        return Attempt(
            False,
            error=error.code,
            final=not_allowed,
            receiver_failing=not not_allowed,
            unanswered=not (not_allowed or error.answered),
        )
    if 200 <= answer.status < 300:
        return Attempt(True, answer.status)
    retry_after = parse_retry_after(
        answer.headers.get("Retry-After"), now=now, limit=MAX_RETRY_AFTER
    )
    return Attempt(
        False,
        answer.status,
        f"status {answer.status}",
        final=answer.status == GONE,
        receiver_failing=answer.status >= 500 or answer.status == TOO_MANY_REQUESTS,
        retry_after=retry_after,
    )


def signed_headers(
    secrets: Sequence[str], event_id: str, payload: str, now: datetime
) -> dict[str, str]:
    """Return the headers of one attempt, with a signature for each secret.

    Standard Webhooks: an HMAC-SHA256 over `id.timestamp.body`; during a rotation there is a
    signature for each secret.
    """
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(
            Webhook(secret).sign(event_id, now, payload) for secret in secrets
        ),
    }


def longest_pause(pauses: Sequence[float]) -> float:
    """Return the longest possible pause between two attempts."""
    return max([MAX_RETRY_AFTER, *(pause * (1 + JITTER) for pause in pauses)])


def next_pause(attempt: int, retry_after: float | None, pauses: Sequence[float]) -> float | None:
    """Return the seconds until the next attempt after this one (1..); None after the last.

    `pauses` are the seconds after the first, second … attempt, and each gets a jitter of a fifth.
    `retry_after` is the number of seconds that the receiver asked for; it can lengthen the pause up
    to a day, but not shorten it.
    """
    if attempt > len(pauses):
        return None
    pause = pauses[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    asked = min(retry_after or 0.0, MAX_RETRY_AFTER)
    return max(pause, asked)
