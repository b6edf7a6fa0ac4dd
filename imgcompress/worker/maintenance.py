"""The tasks of Celery beat: recover lost work, prune old jobs, delete orphaned files."""

from __future__ import annotations

import logging
import math
import time
from datetime import timedelta

from celery import shared_task

from ..errors import StorageUnavailable
from ..extensions import current_settings
from ..ledger import clock_steps, slices
from ..ledger.clock import ledger_now
from ..ledger.deletion import (
    ORPHAN_MIN_AGE,
    TooManyOrphans,
    delete_orphans,
    purge_due_jobs,
    purge_old_jobs,
)
from ..ledger.deliveries import fail_suspended_deliveries
from ..ledger.idempotency import delete_expired_keys
from ..ledger.metrics import note_recovery
from ..ledger.receivers import delete_old_circuits
from ..ledger.seals import SealBroken, reseal_secrets
from ..ledger.webhook_secret import reseal_installation
from ..notify.webhook import longest_pause
from ..storage import JobFiles, open_storage
from .deliver import hold_seconds
from .process import is_dead, stopping
from .queue import publish_due_deliveries, publish_slices, slices_in_queue

log = logging.getLogger(__name__)

# A slice published this many rounds of recovery ago has been claimed, or is still in the queue.
LOST_AFTER_ROUNDS = 2
JOBS_AT_ONCE = 500

_began = -math.inf


@shared_task(name="recover")
def recover() -> None:
    """Expire leases, publish unpublished slices, close finished jobs, relay deliveries.

    Messages pile up while there is no delivery worker: a round right after another one of this
    process is skipped.
    """
    global _began
    now = time.monotonic()
    if now - _began < current_settings().recovery_interval / 2:
        return
    _began = now
    _log_recovered("times in the future were corrected: the clock was set back", put_clock_right())
    end_leases()
    recover_lost_messages()
    _log_recovered("finished jobs were closed", slices.close_finished_jobs())
    for request_id in slices.jobs_to_publish(JOBS_AT_ONCE):
        if not publish_slices(request_id):
            break
    _log_recovered(
        "deliveries were given up, because their receivers kept failing",
        fail_suspended_deliveries(),
    )
    publish_due_deliveries()
    delete_expired_keys()
    delete_old_circuits()
    note_recovery()
    purge_deleted_jobs()


def put_clock_right() -> int:
    """Correct impossible times, so that their work becomes due; return the number of rows."""
    settings = current_settings()
    return clock_steps.correct_future_times(
        clock_steps.Longest(
            lease=settings.lease_seconds,
            suspension=max(
                settings.fetch_suspend_seconds, settings.fetch_timeout + settings.compress_timeout
            ),
            hold=max(hold_seconds(settings).values()),
            delivery=longest_pause(settings.webhook_retry_pauses),
        )
    )


def end_leases() -> None:
    """Expire overdue leases, and those of dead processes of this machine."""
    dead = [holder for holder in slices.lease_holders() if is_dead(holder)]
    _log_recovered("leases expired", slices.expire_leases(dead))


def recover_lost_messages() -> None:
    """Republish slices if the broker holds fewer messages than were published."""
    in_queue = slices_in_queue()
    if in_queue is not None:
        lost = slices.republish_lost_slices(
            in_queue, older_than=LOST_AFTER_ROUNDS * current_settings().recovery_interval
        )
        _log_recovered("slices were published again, because messages were lost", lost)


def purge_deleted_jobs() -> None:
    """Purge deleted jobs. It comes last, since it may take a minute."""
    storage = open_storage(current_settings())
    try:
        _log_recovered("deleted jobs were erased", purge_due_jobs(JobFiles(storage)))
    except StorageUnavailable as error:
        log.warning("Deleted jobs that are not erased yet are waiting for the storage: %s", error)


def _log_recovered(what: str, count: int) -> None:
    if count:
        log.warning("Recovery: %d %s", count, what)


@shared_task(name="prune")
def prune() -> None:
    """Delete the jobs that ended RETENTION_DAYS ago, with their files."""
    settings = current_settings()
    if not settings.retention_days:
        return
    before = ledger_now() - timedelta(days=settings.retention_days)
    try:
        deleted = purge_old_jobs(before, JobFiles(open_storage(settings)), stopping)
    except StorageUnavailable as error:
        log.warning("Old jobs are waiting for the storage: %s", error)
        return
    if deleted:
        log.info("%d jobs that ended %d days ago were deleted", deleted, settings.retention_days)


@shared_task(name="reseal")
def reseal() -> None:
    """Seal secrets that an older version stored in plain text, or sealed with an older key."""
    changed = reseal_secrets()
    if changed:
        log.info("%d secrets of jobs were sealed with the newest key", changed)
    try:
        if reseal_installation():
            log.info("The secret of the installation was sealed with the newest key")
    except SealBroken as error:
        log.error("The secret of the installation cannot be read: %s", error.detail)


@shared_task(name="sweep")
def sweep() -> None:
    """Delete the files that belong to no job."""
    storage = open_storage(current_settings())
    try:
        deleted = delete_orphans(storage.list, storage.delete, ledger_now() - ORPHAN_MIN_AGE)
    except TooManyOrphans as error:
        log.error("%s", error.message)
        return
    except StorageUnavailable as error:
        log.warning("Files that belong to no job are waiting for the storage: %s", error)
        return
    if deleted:
        log.warning("%d files that belonged to no job were deleted", deleted)
