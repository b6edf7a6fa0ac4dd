"""`imgcompress migrate`: move a ledger to another database while the service is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy import make_url

from ..config import load_settings
from ..ledger.copying import copy_ledger
from ..setting_parsers import parse_database_url
from ..shipped import PACKAGE
from .local import lock_installation

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
@click.option("--from", "source", type=DatabaseUrl(), required=True, help="The database of today.")
@click.option("--to", "target", type=DatabaseUrl(), required=True, help="An empty database.")
def migrate(source: str, target: str) -> None:
    """Copy a ledger to another database, such as from SQLite to Postgres.

    Stop the service first: all of its processes. The source is not changed, and the target is
    complete or stays empty. Images and catalogues stay where they are.
    """
    if source == target:
        raise click.UsageError("--from and --to are the same database.")
    settings = load_settings(None)
    database = make_url(source).database
    if source.startswith("sqlite") and not Path(database or "").exists():
        raise click.UsageError(f"There is no database {database}.")
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
    """Bring a database to the newest schema, by the command for it."""
    done = subprocess.run(
        [sys.executable, "-m", "imgcompress", "db", "upgrade"],
        env=os.environ
        | {
            "DATABASE_URL": url,
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH")))
            ),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise click.ClickException("\n".join(line for line in lines if "INFO" not in line))
