"""The `imgcompress` command: its help, and its commands, each loaded on demand."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from . import __version__
from .cli.wording import for_the_operator
from .errors import ImgcompressError

if TYPE_CHECKING:
    from flask import Flask

OF_A_SERVICE = "Run a service"
# Each section of the help with its commands, and their modules in imgcompress.cli.
SECTIONS = {
    "Compress on this machine": {"compress": "compress"},
    "Use a service": {
        "submit": "jobs",
        "status": "jobs",
        "jobs": "jobs",
        "download": "jobs",
        "retry": "jobs",
        "cancel": "jobs",
        "delete": "jobs",
        "mcp": "mcp",
    },
    OF_A_SERVICE: {
        "serve": "serve",
        "demo": "demo",
        "doctor": "doctor",
        "keys": "keys",
        "webhooks": "webhooks",
        "prune": "ledger",
        "ledger": "ledger",
        "db": "ledger",
        "migrate": "ledger",
        "broker": "broker",
    },
}
MODULES = {name: module for section in SECTIONS.values() for name, module in section.items()}


class Sections(click.Group):
    """The commands by sections."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of that name."""
        if cmd_name not in MODULES:
            return None
        if ctx.obj is None and cmd_name in SECTIONS[OF_A_SERVICE]:
            # Only these commands have an application; the others start without Flask.
            from flask.cli import ScriptInfo

            ctx.obj = ScriptInfo(create_app=_service, load_dotenv_defaults=False)
        module = import_module(f".cli.{MODULES[cmd_name]}", __package__)
        return cast(click.Command, getattr(module, cmd_name))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of the service ends it with its message and no traceback."""
        try:
            return super().invoke(ctx)
        except ImgcompressError as error:
            raise click.ClickException(for_the_operator(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help, section by section."""
        for title, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(limit=formatter.width))
                        for name, command in commands
                        if command is not None
                    ]
                )


@click.group("imgcompress", cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="imgcompress %(version)s")
def command() -> None:
    """Compress the images of whole catalogues, with one command or as a service.

    A service takes its settings from the environment, and from the file .env in this folder.
    """


def _service() -> Flask:
    """Return the application, for the commands that work in an installation."""
    from .wsgi import command_app

    return cast("Flask", command_app)


def main() -> None:
    """Run the command."""
    command(prog_name="imgcompress")


if __name__ == "__main__":
    main()
