"""One attempt at a webhook."""

from __future__ import annotations

import logging
from functools import cache

from ..extensions import current_settings
from ..ledger.deliveries import DueDelivery
from ..ledger.seals import SealBroken
from ..ledger.types import utcnow
from ..netguard import DialPolicy, Session
from ..notify.attempt import Attempt
from ..notify.secret import signing_secrets
from ..notify.webhook import send_webhook
from .publish import ROUNDS_AT_ONCE

log = logging.getLogger(__name__)


def attempt_webhook(delivery: DueDelivery) -> Attempt:
    """Send the event once, signed with the secret of its upload or else with the service's own."""
    settings = current_settings()
    try:
        own = delivery.secret
    except SealBroken as error:
        log.error("A webhook cannot be signed: %s", error.detail)
        return Attempt(False, error=error.code)
    secrets = (own,) if own else signing_secrets(settings.webhook_secrets, settings.data_dir)
    return send_webhook(_session(), delivery.target, secrets=secrets, event_id=delivery.id,
                        payload=delivery.payload, now=utcnow(), timeout=settings.webhook_timeout)


@cache
def _session() -> Session:
    """Return this process's session; it is made in the process that uses it, after the fork."""
    settings = current_settings()
    policy = DialPolicy(settings.allowed_private_networks, settings.allowed_ports)
    return Session(policy, pool_size=ROUNDS_AT_ONCE, connect_timeout=settings.fetch_connect_timeout)
