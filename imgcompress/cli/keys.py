"""`imgcompress keys`: make, list and revoke the API keys of callers."""

from __future__ import annotations

import re
from datetime import datetime

import click
from flask.cli import with_appcontext

from ..extensions import current_settings
from ..ledger.api_keys import create_key, list_keys, revoke_key

NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)


@click.group("keys")
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.argument("name")
@with_appcontext
def create(name: str) -> None:
    """Create a key for NAME and show it once.

    Jobs belong to the name: a key that replaces a revoked one sees the same jobs.
    """
    if not NAME.fullmatch(name):
        raise click.ClickException(
            "A name has 1 to 64 letters, digits, dots, hyphens, underscores or @."
        )
    token = create_key(name)
    if token is None:
        raise click.ClickException(
            f"{name} already has a key. Revoke it first, or choose another name."
        )
    click.echo(token)
    click.echo(
        "Keep it safe: it cannot be shown again. Callers send it as “Authorization: Bearer"
        " …” or as “X-API-Key: …”.",
        err=True,
    )
    if not current_settings().require_api_key:
        click.echo("Keys are not required until REQUIRE_API_KEY=true is set.", err=True)


@keys.command("list")
@with_appcontext
def list_all() -> None:
    """List all keys: names, first characters, and the dates of creation and revocation."""
    rows = [
        (
            key.name,
            f"{key.prefix}…",
            _day(key.created_at),
            f"revoked {_day(key.revoked_at)}" if key.revoked_at else "active",
        )
        for key in list_keys()
    ]
    width = max((len(name) for name, *_ in rows), default=0)
    for name, prefix, created, state in rows:
        click.echo(f"{name:{width}}  {prefix}  {created}  {state}")


@keys.command("revoke")
@click.argument("name")
@with_appcontext
def revoke(name: str) -> None:
    """Revoke the key of NAME at once; its jobs stay."""
    if not revoke_key(name):
        raise click.ClickException(
            f"{name} has no key; “imgcompress keys list” shows those that have."
        )
    click.echo(f"The key of {name} is revoked.")


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"
