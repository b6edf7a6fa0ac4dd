"""`flask doctor`: look an installation over, and tell in words what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
from flask.cli import with_appcontext

from ...config import Settings
from ...extensions import current_settings
from . import services
from .finding import Finding, Level, fault
from .limits import check_settings

Check = Callable[[Settings], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "database": services.check_database, "clock": services.check_clock,
    "broker": services.check_broker, "storage": services.check_storage,
    "space": services.check_space, "privacy": services.check_privacy,
    "engine": services.check_engine, "recovery": services.check_recovery,
    "workers": services.check_workers, "mail": services.check_mail, "user": services.check_user,
    "settings": check_settings,
}
NEED_DATABASE = {"clock", "recovery", "workers"}
COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "red"}


@click.command("doctor")
@with_appcontext
def doctor() -> None:
    """Check this installation, one line for each check; the exit code is 1 if one fails."""
    faults = set()
    for finding in _all_findings(current_settings()):
        level = click.style(f"{finding.level:8}", fg=COLOURS[finding.level])
        click.echo(f"{level} {finding.name:9} {finding.text}")
        if finding.level == Level.FAULT:
            faults.add(finding.name)
    if faults:
        raise click.exceptions.Exit(1)


def _all_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what each check finds; without a database some of them are left out."""
    usable = True
    for name, check in CHECKS.items():
        if not usable and name in NEED_DATABASE:
            continue
        for finding in _findings(name, check, settings):
            yield finding
            if finding.level == Level.FAULT and finding.name == "database":
                usable = False


def _findings(name: str, check: Check, settings: Settings) -> Iterator[Finding]:
    """Yield what a check finds; that it cannot be made is a fault."""
    try:
        yield from check(settings)
    except Exception as error:
        yield fault(name, f"Cannot be checked: {services.explain(error)}")
