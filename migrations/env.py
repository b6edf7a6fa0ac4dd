"""Alembic's entry: run the migrations on the application's database."""

import click
from alembic import context
from flask import current_app

from imgcompress.extensions import db
from imgcompress.ledger import models  # noqa: F401  The models must be known to the metadata.
from imgcompress.ledger.health import encoding_error
from imgcompress.ledger.session import create_sqlite_file

url = db.engine.url.render_as_string(hide_password=False)
options = current_app.extensions["migrate"].configure_args | {"target_metadata": db.metadata}

if context.is_offline_mode():
    context.configure(url=url, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()
else:
    create_sqlite_file(url)
    with db.engine.connect() as connection:
        if unusable := encoding_error(connection):
            raise click.ClickException(unusable)
        connection.rollback()
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
