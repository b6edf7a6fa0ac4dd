"""The commands that look after the ledger: its schema, its place, and what is old in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from ..config import load_settings
from ..errors import LedgerUnavailable, StorageUnavailable
from ..extensions import add_migrations, current_settings
from ..extensions import db as database
from ..ledger.clock import ledger_now
from ..ledger.copying import copy_ledger
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
from ..ledger.session import adapt, engine_options
from ..setting_parsers import parse_database_url
from ..shipped import MIGRATIONS
from ..storage import JobFiles, Storage, open_storage
from .local import lock_installation


@click.group("db")
def db() -> None:
    """Create or upgrade the database."""


@db.command("upgrade")
@with_appcontext
def upgrade() -> None:
    """Bring the database to the newest schema.

    An empty database gets its tables. `imgcompress serve` does the same when it starts.
    """
    upgrade_schema()
    click.echo(f"The schema is {newest_schema()}, the newest.")


@db.command("current")
@with_appcontext
def current() -> None:
    """Show the schema of the database, and that of this version."""
    # Only the commands about the schema need Alembic.
    from alembic.migration import MigrationContext

    with _available(), database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    click.echo(f"database {found or 'empty'}, this version {newest_schema()}")


def newest_schema() -> str | None:
    """Return the schema that this version needs."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def upgrade_schema() -> None:
    """Bring the database to the newest schema. Raise ClickException when it cannot be used."""
    import flask_migrate

    with _available():
        flask_migrate.upgrade()


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        url = database.engine.url
        advice = (
            f"Check that the disk of {url.database} has room, and that this user can write there."
            if url.get_backend_name() == "sqlite"
            else "Check DATABASE_URL, or unset it to use SQLite."
        )
        raise click.ClickException(
            f"The database is unavailable: {error.orig}\n{advice}"
        ) from error
    finally:
        database.engine.dispose()


WIDTH = 24


class DatabaseUrl(click.ParamType[str]):
    """The address of a database, as DATABASE_URL has it."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address with its driver."""
        try:
            url = parse_database_url(str(value))
        except ValueError as error:
            self.fail(f"It {error}.")
        return load_settings(None, database_url=url).database_url


@click.command("migrate")
@click.option("--from", "source", type=DatabaseUrl(), required=True, help="The current database.")
@click.option("--to", "target", type=DatabaseUrl(), required=True, help="An empty database.")
def migrate(source: str, target: str) -> None:
    """Copy a ledger to another database, such as from SQLite to Postgres.

    Stop the service first: all of its processes. The source is not changed, and the target is
    complete or stays empty. Images and catalogues stay where they are.
    """
    if source == target:
        raise click.UsageError("--from and --to are the same database.")
    settings = load_settings(None)
    file = make_url(source).database
    if source.startswith("sqlite") and not Path(file or "").exists():
        raise click.UsageError(f"There is no database {file}.")
    # A running service on this machine holds the lock.
    with lock_installation(settings.data_dir, "migrating the ledger"):
        for url in (source, target):
            _upgrade(url)
        total = copy_ledger(
            source, target, lambda table, rows: click.echo(f"  {table:{WIDTH}} {rows:>12,}")
        )
    click.secho(f"{total:,} rows were copied, and counted on both sides.", bold=True, fg="green")
    click.echo("Now set DATABASE_URL to the target, start the service, and run: imgcompress doctor")


def _upgrade(url: str) -> None:
    """Bring a database to the newest schema, as `imgcompress db upgrade` does."""
    app = Flask(__package__)
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=engine_options(url))
    database.init_app(app)
    add_migrations(app)
    # A new file is private to its user, like every file that the service writes.
    others_may = os.umask(0o077)
    try:
        with app.app_context():
            adapt(database.engine)
            upgrade_schema()
    finally:
        os.umask(others_may)


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
    "--force",
    "--even-strange",
    is_flag=True,
    help="Delete files that belong to no job even if they are most of the files.",
)
@with_appcontext
def prune(days: int | None, dry_run: bool, force: bool) -> None:
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
        _prune_files(storage, dry_run, force)
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


def _prune_files(storage: Storage, dry_run: bool, force: bool) -> None:
    before = ledger_now() - ORPHAN_MIN_AGE
    if dry_run:
        found = count_orphans(storage.list, before)
        click.echo(f"Files that belong to no job: {found.orphans} of {found.files}")
        return
    try:
        deleted = delete_orphans(storage.list, storage.delete, before, force=force)
    except TooManyOrphans as error:
        raise click.ClickException(
            f"{error.message} To delete them anyway: imgcompress prune --force"
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
