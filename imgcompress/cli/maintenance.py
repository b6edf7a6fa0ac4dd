"""`imgcompress prune` and `imgcompress ledger`: keep the ledger and the storage in order."""

from __future__ import annotations

from datetime import timedelta

import click
from flask.cli import with_appcontext

from ..errors import LedgerUnavailable, StorageUnavailable
from ..extensions import current_settings
from ..ledger.clock import ledger_now
from ..ledger.deletion import (
    ORPHAN_MIN_AGE,
    TooManyOrphans,
    count_old_jobs,
    count_orphans,
    delete_orphans,
    purge_job,
    purge_old_jobs,
    soft_delete_all,
)
from ..storage import JobFiles, Storage, open_storage


@click.command("prune")
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Delete jobs that ended this many days ago or earlier.  [default: RETENTION_DAYS]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option(
    "--even-strange",
    is_flag=True,
    help="Delete files that belong to no job even if they are the majority.",
)
@with_appcontext
def prune(days: int | None, dry_run: bool, even_strange: bool) -> None:
    """Delete old jobs with their files, and files that belong to no job.

    It can be interrupted at any time: the next run deletes the rest.
    """
    settings = current_settings()
    storage = open_storage(settings)
    days = days or settings.retention_days
    try:
        if days:
            _prune_jobs(storage, days, dry_run)
        else:
            click.echo("No job is too old: RETENTION_DAYS is 0, and --older-than was not given.")
        _prune_files(storage, dry_run, even_strange)
    except (LedgerUnavailable, StorageUnavailable) as error:
        cause = (error.detail or error.message).splitlines()[0]
        raise click.ClickException(f"Interrupted; run it again later. {cause}") from error


def _prune_jobs(storage: Storage, days: int, dry_run: bool) -> None:
    before = ledger_now() - timedelta(days=days)
    if dry_run:
        click.echo(f"Jobs that ended {days} days ago or earlier: {count_old_jobs(before)}")
        return
    deleted = purge_old_jobs(before, JobFiles(storage))
    click.echo(f"Deleted jobs that ended {days} days ago or earlier: {deleted}")


def _prune_files(storage: Storage, dry_run: bool, even_strange: bool) -> None:
    before = ledger_now() - ORPHAN_MIN_AGE
    if dry_run:
        found = count_orphans(storage.list, before)
        click.echo(f"Files that belong to no job: {found.orphans} of {found.files}")
        return
    try:
        deleted = delete_orphans(storage.list, storage.delete, before, even_strange=even_strange)
    except TooManyOrphans as error:
        raise click.ClickException(
            f"{error.message} To delete them anyway: imgcompress prune --even-strange"
        ) from error
    click.echo(f"Deleted files that belonged to no job: {deleted}")


@click.group("ledger")
def ledger() -> None:
    """Maintain the ledger."""


@ledger.command("reset")
@click.confirmation_option(
    prompt="This deletes every job of every caller, with its images. Continue?"
)
@with_appcontext
def reset() -> None:
    """Delete every job of every caller.

    Their rows and files are deleted; API keys stay.
    """
    files = JobFiles(open_storage(current_settings()))
    marked = soft_delete_all(None)
    for erasure in marked:
        purge_job(erasure, files)
    click.echo(f"Deleted jobs: {len(marked)}")
