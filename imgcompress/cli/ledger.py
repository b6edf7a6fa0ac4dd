"""`flask ledger`: what concerns all jobs at once."""

from __future__ import annotations

from functools import partial

import click
from flask.cli import with_appcontext

from ..extensions import current_settings
from ..ledger.deletion import erase_job, mark_all_deleted
from ..storage import delete_job_files, open_storage


@click.group("ledger")
def ledger() -> None:
    """Maintain the ledger."""


@ledger.command("reset")
@click.confirmation_option(prompt="This deletes every job of every caller, with its images."
                                  " Continue?")
@with_appcontext
def reset() -> None:
    """Delete every job of every caller, its rows and its files; API keys stay."""
    delete_files = partial(delete_job_files, open_storage(current_settings()))
    marked = mark_all_deleted(None)
    for erasure in marked:
        erase_job(erasure, delete_files)
    click.echo(f"Deleted jobs: {len(marked)}")
