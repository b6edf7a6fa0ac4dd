"""One attempt at a mail."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from ..catalogue import write_catalogue
from ..errors import StorageNotFound
from ..extensions import current_settings
from ..ledger import queries
from ..ledger.deliveries import DueDelivery
from ..ledger.types import utcnow
from ..links import signed_url
from ..notify.attempt import Attempt
from ..notify.mail import job_mail
from ..notify.smtp import send_mail
from ..storage import csv_key, open_storage


def attempt_email(delivery: DueDelivery) -> Attempt:
    """Write and send the mail once, with the output CSV if it is small enough."""
    settings = current_settings()
    if settings.smtp_server is None or settings.mail_from is None:
        return Attempt(False, error="no_mail_server", receiver_ill=True)
    message = job_mail(
        json.loads(delivery.payload), event_id=delivery.id, sender=settings.mail_from,
        recipient=delivery.target, now=utcnow(),
        output_csv=_output_csv(delivery.request_id, settings.mail_max_attachment_bytes))
    return send_mail(settings.smtp_server, message, recipient=delivery.target)


def _output_csv(request_id: UUID, limit: int) -> bytes | None:
    """Return the job's output CSV, or None when it has more bytes than the limit, or is gone."""
    try:
        with open_storage(current_settings()).open(csv_key(request_id)) as source:
            job = queries.find_job(request_id)
            kept = job.reading if job else None
            outcomes = queries.outcomes(request_id, signed_url)
            return _joined(write_catalogue(source, outcomes, kept=kept), limit)
    except StorageNotFound:
        return None


def _joined(chunks: Iterable[bytes], limit: int) -> bytes | None:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            return None
    return bytes(content)
