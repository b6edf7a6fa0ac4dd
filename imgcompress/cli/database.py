"""`imgcompress db`: the schema of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import flask_migrate
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError

from ..extensions import db as database
from ..shipped import MIGRATIONS


@click.group("db")
def db() -> None:
    """Create or upgrade the database."""


@db.command("upgrade")
@with_appcontext
def upgrade() -> None:
    """Bring the database to the newest schema.

    An empty database gets its tables. `imgcompress serve` does the same when it starts.
    """
    migrate()
    click.echo(f"The schema is {newest_schema()}, the newest.")


@db.command("current")
@with_appcontext
def current() -> None:
    """Show the schema of the database, and that of this version."""
    with _available(), database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    click.echo(f"database {found or 'empty'}, this version {newest_schema()}")


def newest_schema() -> str | None:
    """Return the schema that this version needs."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def migrate() -> None:
    """Bring the database to the newest schema. Raise ClickException when it cannot be used."""
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
