"""The periodic tasks that delete and seal what has grown old; harmless when they run twice."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

from celery import shared_task

from ..errors import StorageUnavailable
from ..extensions import current_settings
from ..ledger.clock import ledger_now
from ..ledger.deletion import erase_old_jobs
from ..ledger.orphans import SPARED, StrangeFiles, delete_orphans
from ..ledger.seals import reseal_secrets
from ..storage import delete_job_files, open_storage
from .processes import stopping

log = logging.getLogger(__name__)


@shared_task(name="prune")
def prune() -> None:
    """Delete the jobs that ended RETENTION_DAYS ago, with their files."""
    settings = current_settings()
    if not settings.retention_days:
        return
    before = ledger_now() - timedelta(days=settings.retention_days)
    try:
        deleted = erase_old_jobs(before, partial(delete_job_files, open_storage(settings)),
                                 stopping)
    except StorageUnavailable as error:
        log.warning("Old jobs are waiting for the storage: %s", error)
        return
    if deleted:
        log.info("%d jobs that ended %d days ago were deleted", deleted, settings.retention_days)


@shared_task(name="reseal")
def reseal() -> None:
    """Seal the secrets of jobs that an older version left plain, or an older key sealed."""
    changed = reseal_secrets()
    if changed:
        log.info("%d secrets of jobs were sealed with the newest key", changed)


@shared_task(name="sweep")
def sweep() -> None:
    """Delete the files that belong to no job."""
    storage = open_storage(current_settings())
    try:
        deleted = delete_orphans(storage.list, storage.delete, ledger_now() - SPARED)
    except StrangeFiles as error:
        log.error("%s", error.message)
        return
    except StorageUnavailable as error:
        log.warning("Files that belong to no job are waiting for the storage: %s", error)
        return
    if deleted:
        log.warning("%d files that belonged to no job were deleted", deleted)
