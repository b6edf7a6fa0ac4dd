"""The periodic task that makes good what was lost; harmless when it runs twice."""

from __future__ import annotations

import logging
import math
import time
from functools import partial

from celery import shared_task

from ..errors import StorageUnavailable
from ..extensions import current_settings
from ..ledger import clock_steps, leases, recovery
from ..ledger.deletion import erase_due_jobs
from ..ledger.deliveries import give_up_suspended
from ..ledger.heartbeat import note_recovery
from ..ledger.idempotency import forget_old_keys
from ..ledger.receivers import forget_old_circuits
from ..notify.schedule import longest_pause
from ..storage import delete_job_files, open_storage
from .deliver_due import hold_seconds
from .holder import is_dead
from .publish import publish_due_deliveries, publish_slices, slices_in_queue

log = logging.getLogger(__name__)

# A slice that was published so many rounds of recovery ago is claimed, or stands in the queue.
LOST_AFTER_ROUNDS = 2
JOBS_AT_ONCE = 500

_began = -math.inf


@shared_task(name="recover")
def recover() -> None:
    """End leases, publish what stands unpublished, close finished jobs, relay deliveries.

    While there was no courier, messages have piled up: a round that is asked for right after
    another one of this process is left out.
    """
    global _began
    now = time.monotonic()
    if now - _began < current_settings().recovery_interval / 2:
        return
    _began = now
    _tell("times in the future were corrected: the clock was set back", put_clock_right())
    end_leases()
    forget_lost_messages()
    _tell("finished jobs were closed", recovery.close_finished_jobs())
    for request_id in recovery.jobs_to_publish(JOBS_AT_ONCE):
        if not publish_slices(request_id):
            break
    _tell("deliveries were given up, because their receivers kept failing", give_up_suspended())
    publish_due_deliveries()
    forget_old_keys()
    forget_old_circuits()
    note_recovery()
    erase_deleted_jobs()


def put_clock_right() -> int:
    """Have all that is due which waits for a time that cannot be true; return how much it was."""
    settings = current_settings()
    return clock_steps.put_right(clock_steps.Longest(
        lease=settings.lease_seconds,
        suspension=max(settings.fetch_suspend_seconds,
                       settings.fetch_timeout + settings.compress_timeout),
        hold=max(hold_seconds(settings).values()),
        delivery=longest_pause(settings.webhook_retry_pauses)))


def end_leases() -> None:
    """End the leases that ran out, and those that dead processes of this machine held."""
    dead = [holder for holder in leases.lease_holders() if is_dead(holder)]
    _tell("leases expired", leases.expire_leases(dead))


def forget_lost_messages() -> None:
    """Have slices published again when the broker holds fewer messages than it was given."""
    in_queue = slices_in_queue()
    if in_queue is not None:
        lost = recovery.forget_lost_messages(
            in_queue, older_than=LOST_AFTER_ROUNDS * current_settings().recovery_interval)
        _tell("slices were published again, because messages were lost", lost)


def erase_deleted_jobs() -> None:
    """Take away what is left of deleted jobs. It comes last, since it may take a minute."""
    storage = open_storage(current_settings())
    try:
        _tell("deleted jobs were erased", erase_due_jobs(partial(delete_job_files, storage)))
    except StorageUnavailable as error:
        log.warning("Deleted jobs that are not erased yet are waiting for the storage: %s", error)


def _tell(what: str, count: int) -> None:
    if count:
        log.warning("Recovery: %d %s", count, what)
