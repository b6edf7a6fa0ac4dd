"""Send the webhooks and e-mails that are due."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cache
from threading import BoundedSemaphore
from uuid import UUID

from celery import shared_task

from ..config import Settings
from ..csvfile import output_form, write_output
from ..errors import LedgerUnavailable, StorageNotFound
from ..extensions import current_settings
from ..ledger import queries
from ..ledger.deliveries import DueDelivery, claim_due, record_delivered, record_undelivered
from ..ledger.models import Channel, utcnow
from ..ledger.seals import SealBroken
from ..ledger.webhook_secret import signing_secrets
from ..links import signed_url
from ..logs import bind
from ..metrics import DELIVERY
from ..net import DialPolicy, Session
from ..notify.email import Attachment, job_mail, send_mail
from ..notify.webhook import Attempt, next_pause, send_webhook
from ..storage import csv_key, open_storage, workbook_key
from ..tracing import record
from .process import retry_while_unavailable, stopping
from .queue import ROUNDS_AT_ONCE, publish_due_deliveries

log = logging.getLogger(__name__)


def attempt_webhook(delivery: DueDelivery) -> Attempt:
    """Send the event once, signed with the secret of its upload or else with the service's own."""
    settings = current_settings()
    try:
        own = delivery.secret
        secrets = (own,) if own else signing_secrets()
    except SealBroken as error:
        log.error("A webhook cannot be signed: %s", error.detail)
        return Attempt(False, error=error.code)
    return send_webhook(
        _session(),
        delivery.target,
        secrets=secrets,
        event_id=delivery.id,
        payload=delivery.payload,
        now=utcnow(),
        timeout=settings.webhook_timeout,
    )


@cache
def _session() -> Session:
    """Return this process's session; it is made in the process that uses it, after the fork."""
    settings = current_settings()
    policy = DialPolicy(settings.allowed_private_networks, settings.allowed_ports)
    return Session(policy, pool_size=ROUNDS_AT_ONCE, connect_timeout=settings.fetch_connect_timeout)


def attempt_email(delivery: DueDelivery) -> Attempt:
    """Write and send the e-mail once, with the output if it is small enough."""
    settings = current_settings()
    if settings.smtp_server is None or settings.mail_from is None:
        return Attempt(False, error="no_mail_server", receiver_failing=True)
    message = job_mail(
        json.loads(delivery.payload),
        event_id=delivery.id,
        sender=settings.mail_from,
        recipient=delivery.target,
        now=utcnow(),
        attachment=_attachment(delivery.request_id, settings.mail_max_attachment_bytes),
    )
    return send_mail(settings.smtp_server, message, recipient=delivery.target)


def _attachment(request_id: UUID, limit: int) -> Attachment | None:
    """Return the job's output, or None if it is larger than the limit, or missing."""
    storage = open_storage(current_settings())
    job = queries.find_job(request_id)
    kept = job.reading if job else None
    form = output_form(kept, changes=job is not None and job.is_compared)
    try:
        with ExitStack() as opened:
            source = opened.enter_context(storage.open(csv_key(request_id)))
            workbook = None
            if form.part:
                workbook = opened.enter_context(storage.open(workbook_key(request_id)))
            outcomes = queries.outcomes(request_id, signed_url)
            content = _joined(write_output(form, source, workbook, outcomes, kept), limit)
    except StorageNotFound:
        return None
    return None if content is None else Attachment(form.ending, form.media_type, content)


def _joined(chunks: Iterable[bytes], limit: int) -> bytes | None:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            return None
    return bytes(content)


# A round that lasts longer yields to the others in the queue, and is published again.
ROUND_SECONDS = 60.0
# An e-mail takes about ten answers of the server, each within 15 s.
MAIL_HOLD_SECONDS = 300.0

# The delivery worker's other threads stay free for recovery, however many receivers hang.
_rounds = BoundedSemaphore(ROUNDS_AT_ONCE)


@shared_task(name="deliver_due")
def deliver_due() -> None:
    """Attempt due deliveries one by one, until none is left to claim.

    The message is only a notification: if enough rounds run in this process, one of them attempts
    the due deliveries.
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
    """Return how long a claim is valid: far longer than an attempt can take.

    If a process dies between sending and recording, the delivery is sent again after that, with the
    same id.
    """
    return {Channel.WEBHOOK: 2 * settings.webhook_timeout, Channel.EMAIL: MAIL_HOLD_SECONDS}


def _attempt(delivery: DueDelivery) -> None:
    bind(request_id=delivery.request_id, delivery_id=delivery.id)
    started = time.monotonic()
    send = attempt_email if delivery.channel == Channel.EMAIL else attempt_webhook
    try:
        attempt = send(delivery)
    except LedgerUnavailable:
        # The claim runs out, and the delivery is due again.
        raise
    except Exception:
        # An internal error must neither stop the others nor be retried without a pause.
        log.exception("The delivery could not be attempted")
        attempt = Attempt(False, error="internal_error")
    _record(delivery, attempt, time.monotonic() - started)


def _record(delivery: DueDelivery, attempt: Attempt, seconds: float) -> None:
    DELIVERY.observe(seconds, delivery.channel, "ok" if attempt.delivered else "failed")
    record(
        "delivery",
        delivery.request_id,
        seconds,
        error=None if attempt.delivered else attempt.error or f"HTTP {attempt.status}",
        channel=delivery.channel.value,
        attempt=delivery.attempt,
    )
    log.info(
        "Delivered" if attempt.delivered else "Not delivered",
        extra={
            "channel": delivery.channel.value,
            "attempt": delivery.attempt,
            "status": attempt.status,
            "error": attempt.error,
            "seconds": round(seconds, 4),
        },
    )
    if attempt.delivered:
        retry_while_unavailable(
            lambda: record_delivered(delivery, seconds=seconds, status=attempt.status)
        )
        return
    pause = (
        None
        if attempt.final
        else next_pause(delivery.step, attempt.retry_after, current_settings().webhook_retry_pauses)
    )
    retry_while_unavailable(
        lambda: record_undelivered(
            delivery,
            seconds=seconds,
            status=attempt.status,
            error=attempt.error,
            next_in=pause,
            receiver_failing=attempt.receiver_failing,
            unanswered=attempt.unanswered,
        )
    )
