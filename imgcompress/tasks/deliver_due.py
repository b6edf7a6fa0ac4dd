"""Deliver what is due: claim a delivery, attempt it once, record what became of it."""

from __future__ import annotations

import logging
import time
from threading import BoundedSemaphore

from celery import shared_task

from ..config import Settings
from ..extensions import current_settings
from ..ledger.deliveries import DueDelivery, claim_due, record_delivered, record_undelivered
from ..ledger.states import Channel
from ..logs import bind
from ..metrics import DELIVERY
from ..notify.attempt import Attempt
from ..notify.schedule import next_pause
from .deliver_email import attempt_email
from .deliver_webhook import attempt_webhook
from .patience import patiently
from .processes import stopping
from .publish import ROUNDS_AT_ONCE, publish_due_deliveries

log = logging.getLogger(__name__)

# A round that goes on for longer gives way to the others in the queue, and is published again.
ROUND_SECONDS = 60.0
# A mail takes some ten answers of the server, each of 15 s at most.
MAIL_HOLD_SECONDS = 300.0

# The courier's other threads stay free for recovery, however many receivers hang.
_rounds = BoundedSemaphore(ROUNDS_AT_ONCE)


@shared_task(name="deliver_due")
def deliver_due() -> None:
    """Attempt due deliveries, one after the other, until none is left that may be claimed.

    The message is only a doorbell: when enough rounds go on in this process, one of them sees to
    what is due.
    """
    if not _rounds.acquire(blocking=False):
        return
    try:
        _deliver_for(ROUND_SECONDS)
    finally:
        _rounds.release()


def _deliver_for(seconds: float) -> None:
    end, holds = time.monotonic() + seconds, hold_seconds(current_settings())
    while not stopping():
        if time.monotonic() > end:
            publish_due_deliveries()
            return
        delivery = claim_due(holds)
        if delivery is None:
            return
        _attempt(delivery)


def hold_seconds(settings: Settings) -> dict[Channel, float]:
    """Return for how long a claim stands: for far longer than an attempt can take.

    A process that dies between the sending and the record sends it again after that, with the same
    id.
    """
    return {Channel.WEBHOOK: 2 * settings.webhook_timeout, Channel.EMAIL: MAIL_HOLD_SECONDS}


def _attempt(delivery: DueDelivery) -> None:
    bind(request_id=delivery.request_id, delivery_id=delivery.id)
    started = time.monotonic()
    send = attempt_email if delivery.channel == Channel.EMAIL else attempt_webhook
    try:
        attempt = send(delivery)
    except Exception:
        # A fault of ours must not stop the others, nor be repeated without a pause.
        log.exception("The delivery could not be attempted")
        attempt = Attempt(False, error="internal_error")
    _record(delivery, attempt, time.monotonic() - started)


def _record(delivery: DueDelivery, attempt: Attempt, seconds: float) -> None:
    DELIVERY.observe(seconds, delivery.channel, "ok" if attempt.delivered else "failed")
    log.info("Delivered" if attempt.delivered else "Not delivered", extra={
        "channel": delivery.channel.value, "attempt": delivery.attempt, "status": attempt.status,
        "error": attempt.error, "seconds": round(seconds, 4)})
    if attempt.delivered:
        patiently(lambda: record_delivered(delivery, seconds=seconds, status=attempt.status))
        return
    pause = None if attempt.final else next_pause(
        delivery.step, attempt.retry_after, current_settings().webhook_retry_pauses)
    patiently(lambda: record_undelivered(
        delivery, seconds=seconds, status=attempt.status, error=attempt.error,
        next_in=pause, receiver_ill=attempt.receiver_ill, unanswered=attempt.unanswered))
