"""`imgcompress keys`: make, list and revoke the API keys of callers."""

from __future__ import annotations

import re
from datetime import datetime

import click
from flask.cli import with_appcontext

from ..extensions import current_settings
from ..ledger.api_keys import TooManyKeys, create_key, list_keys, revoke_key

NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)


@click.group("keys")
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.argument("name")
@with_appcontext
def create(name: str) -> None:
    """Create a key for NAME and show it once.

    Jobs belong to the name, and every key of the name sees them. A name may have two keys: create
    the second one, give it to the callers, then revoke the first.
    """
    if not NAME.fullmatch(name):
        raise click.ClickException(
            "A name has 1 to 64 letters, digits, dots, hyphens, underscores or @."
        )
    before = [key for key in list_keys() if key.name == name and not key.revoked_at]
    try:
        token = create_key(name)
    except TooManyKeys as error:
        raise click.ClickException(
            f"{name} has two keys. Revoke one of them first:"
            f" imgcompress keys revoke {error.ids[0]} (the older one) or {error.ids[1]}"
        ) from error
    click.echo(token)
    click.echo(
        "Keep it safe: it cannot be shown again. Callers send it as “Authorization: Bearer"
        " …” or as “X-API-Key: …”.",
        err=True,
    )
    if before:
        click.echo(
            f"Both keys of {name} are valid. When all callers use the new one, revoke the old one:"
            f" imgcompress keys revoke {before[0].id}",
            err=True,
        )
    if not current_settings().require_api_key:
        click.echo("Keys are not required until REQUIRE_API_KEY=true is set.", err=True)


@keys.command("list")
@with_appcontext
def list_all() -> None:
    """List all keys by name.

    Each line has a name, the id of the key (its first characters), and the dates of its creation
    and revocation.
    """
    found = list_keys()
    width = max((len(key.name) for key in found), default=0)
    if not found:
        click.echo("There are no keys. Create one: imgcompress keys create NAME", err=True)
    for key in found:
        state = f"revoked {_day(key.revoked_at)}" if key.revoked_at else "active"
        click.echo(f"{key.name:{width}}  {key.id}  {_day(key.created_at)}  {state}")


@keys.command("revoke")
@click.argument("id", metavar="ID")
@with_appcontext
def revoke(id: str) -> None:
    """Revoke the key with this ID at once; the jobs of its name stay.

    ID is as `imgcompress keys list` shows it. The name works too, if it has one key alone.
    """
    named = [key for key in list_keys() if id in (key.id, key.name) and not key.revoked_at]
    if len(named) > 1:
        ids = " or ".join(key.id for key in named)
        raise click.ClickException(f"{id} has two keys. Name the one to revoke: {ids}")
    if not named or not revoke_key(named[0].name, named[0].id):
        raise click.ClickException(
            f"There is no valid key {id}; “imgcompress keys list” shows all keys."
        )
    click.echo(f"The key {named[0].id} of {named[0].name} was revoked.")


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"
