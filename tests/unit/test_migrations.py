"""The migrations build what the models say, on both kinds of database, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import flask_migrate
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db

from tests.support.databases import MIGRATIONS

# The migrations up to this one belong to versions that were never released.
BEFORE_THE_PROMISE = "0005"


def test_the_migrations_make_the_schema_of_the_models(ledger_url: str, tmp_path: Path) -> None:
    app = create_app(load_settings(None, database_url=ledger_url, data_dir=tmp_path))
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []
    with app.app_context():
        db.engine.dispose()


def test_the_migrations_have_one_head() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


class Shape(NamedTuple):
    """A table as statements of an older version see it."""

    columns: dict[str, str]
    required: set[str]
    unique: set[tuple[str, ...]]


def _shapes(engine: Engine) -> dict[str, Shape]:
    """Return the tables: columns and their types, those that an INSERT must name, unique ones."""
    found = inspect(engine)
    shapes = {}
    for table in found.get_table_names():
        columns = found.get_columns(table)
        shapes[table] = Shape(
            {column["name"]: str(column["type"]) for column in columns},
            {
                column["name"]
                for column in columns
                if not column["nullable"] and column["default"] is None
            },
            {
                tuple(found.get_pk_constraint(table)["constrained_columns"]),
                *(tuple(each["column_names"]) for each in found.get_unique_constraints(table)),
            },
        )
    return shapes


def test_old_workers_can_use_the_schema_of_the_next_version(tmp_path: Path) -> None:
    """Each migration only adds, so that it may run while the code of before it is at work.

    What that code inserts, it inserts without the new columns; where it says ON CONFLICT, it names
    the keys of before.
    """
    app = create_app(
        load_settings(None, database_url=f"sqlite:///{tmp_path}/ledger.sqlite3", data_dir=tmp_path)
    )
    revisions = [
        script.revision
        for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions(BEFORE_THE_PROMISE, "head")
    ][::-1]
    assert len(revisions) > 1
    with app.app_context():
        before: dict[str, Shape] = {}
        for revision in revisions:
            flask_migrate.upgrade(directory=str(MIGRATIONS), revision=revision)
            after = _shapes(db.engine)
            for table, old in before.items():
                assert old.columns.items() <= after[table].columns.items(), (revision, table)
                assert after[table].required <= old.required, (revision, table)
                assert after[table].unique == old.unique, (revision, table)
            before = after
        db.engine.dispose()
