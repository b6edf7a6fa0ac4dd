"""The commands of `flask`, each loaded on demand: the servers need none of them."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from click import Command, Context
from flask import Flask
from flask.cli import AppGroup

COMMANDS = {
    name: f"{__name__}.{name}"
    for name in ("broker", "demo", "doctor", "keys", "postman", "serve", "webhooks")
}
COMMANDS |= dict.fromkeys(("ledger", "prune"), f"{__name__}.maintenance")
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


def init_app(app: Flask) -> None:
    """Add the commands to those that the application has already."""
    app.cli = Commands(app.name, app.cli.commands)
