"""The factories of the whole application, and of those for workers and commands, without an API.

The whole one has the commands of `flask`, each loaded on demand: the servers need none of them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from click import Command, Context
from flask import Flask
from flask.cli import AppGroup

from .config import Settings, load_settings
from .errors import SettingsError
from .extensions import add_migrations, db
from .ledger.outbox import EXTENSION, Presentation
from .ledger.session import adapt, engine_options, readers
from .links import image_url
from .worker.celery_app import make_celery
from .worker.payloads import mail_payload, webhook_payload

COMMANDS = {
    name: f"{__package__}.cli.{name}"
    for name in ("broker", "demo", "doctor", "keys", "postman", "serve", "webhooks")
}
COMMANDS |= dict.fromkeys(("ledger", "prune"), f"{__package__}.cli.ledger")
COMMANDS["db"] = "flask_migrate.cli"


class Commands(AppGroup):
    """The commands by their names, under which they also stand in their modules."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Return a command, or None where there is none of that name."""
        if cmd_name in COMMANDS:
            return cast(Command, getattr(import_module(COMMANDS[cmd_name]), cmd_name))
        return super().get_command(ctx, cmd_name)


def create_worker_app(settings: Settings) -> Flask:
    """Create an application with only the ledger and Celery, in two thirds of the time.

    Raise SettingsError when a setting turns out to be wrong.
    """
    _make_folder(settings.data_dir)
    app = Flask(__package__)
    app.config.update(
        SETTINGS=settings,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
        SQLALCHEMY_BINDS=readers(settings.database_url),
    )
    db.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            adapt(engine)
    app.extensions[EXTENSION] = Presentation(image_url, webhook_payload, mail_payload)
    app.extensions["celery"] = make_celery(app, settings)
    return app


def _make_folder(data_dir: Path) -> None:
    """Create the data folder, readable by this user only."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"DATA_DIR={data_dir} cannot be created: {error.strerror}.\nSet DATA_DIR to a folder that"
            " this user can create or write to."
        ) from error


def create_command_app(settings: Settings) -> Flask:
    """Create the application of a command, with the migrations but no API, in half the time.

    Raise SettingsError when a setting turns out to be wrong.
    """
    app = create_worker_app(settings)
    add_migrations(app)
    return app


def create_app(settings: Settings | None = None) -> Flask:
    """Create the whole application, with the API, the pages and the commands.

    Raise SettingsError, which lists every error, if a setting is wrong.
    """
    from .api import register_api
    from .web import register_web

    settings = settings or load_settings()
    app = create_worker_app(settings)
    add_migrations(app)
    register_api(app, settings)
    register_web(app)
    app.cli = Commands(app.name, app.cli.commands)
    return app
