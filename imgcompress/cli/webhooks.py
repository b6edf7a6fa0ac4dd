"""`imgcompress webhooks`: signing secrets, a test receiver, and suspended receivers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import click
from flask.cli import with_appcontext
from standardwebhooks import Webhook, WebhookVerificationError

from ..config import Settings
from ..errors import LedgerUnavailable
from ..extensions import current_settings
from ..ledger.clock import about_now
from ..ledger.receivers import failing_receivers, reset_circuit
from ..ledger.seals import SealBroken
from ..ledger.webhook_secret import retire, rotate, signing_secrets
from .wording import for_the_operator

LOOPBACK = ip_address("127.0.0.1")
MAX_BODY_BYTES = 1024 * 1024


@click.group("webhooks")
def webhooks() -> None:
    """Manage signing secrets and receivers, and test webhooks."""


@webhooks.command("secret")
@click.option(
    "--rotate",
    "action",
    flag_value="rotate",
    help="Create a new secret. The newest of the others keeps signing beside it.",
)
@click.option("--retire", "action", flag_value="retire", help="Remove the older of two secrets.")
@with_appcontext
def secret(action: str | None) -> None:
    """Show the secrets that sign webhooks, newest first."""
    settings = current_settings()
    if action and settings.webhook_secrets:
        raise click.ClickException(
            "WEBHOOK_SECRET is set, so change it there: new,old signs with"
            " both until the old one is removed."
        )
    with _ledger():
        active = {"rotate": rotate, "retire": retire}.get(action or "", signing_secrets)()
    for each in active:
        click.echo(each)
    if len(active) > 1:
        click.echo(
            "Both sign. When all receivers have the first one: imgcompress webhooks secret --retire",
            err=True,
        )


@webhooks.command("receivers")
@with_appcontext
def receivers() -> None:
    """List the receivers that fail, and until when they are suspended."""
    with _ledger():
        failing = failing_receivers()
    for circuit in failing:
        suspended = circuit.open_until and circuit.open_until > about_now()
        until = (
            f"suspended until {circuit.open_until:%Y-%m-%d %H:%M:%S} UTC"
            if suspended
            else "still tried"
        )
        click.echo(f"{circuit.receiver}  {circuit.failures} failures in a row, {until}")
    if not failing:
        click.echo("No receiver is failing.")


@webhooks.command("reset")
@click.argument("receiver")
@with_appcontext
def reset(receiver: str) -> None:
    """Resume deliveries to a receiver that works again.

    RECEIVER is as shown by `imgcompress webhooks receivers`, such as https://shop.example.com:443
    """
    with _ledger():
        known = reset_circuit(receiver)
    if not known:
        raise click.ClickException(
            f"There is no receiver {receiver!r}. `imgcompress webhooks receivers` lists the failing ones."
        )
    click.echo(f"{receiver} is no longer suspended.")


@webhooks.command("listen")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port on 127.0.0.1; 0 chooses one.",
)
@click.option("--secret", "given", help="The webhook_secret of the upload, if it had one.")
@with_appcontext
def listen(port: int, given: str | None) -> None:
    """Print and verify incoming webhooks, for developers."""
    settings = current_settings()
    with _ledger():
        secrets = (given,) if given else signing_secrets()
    try:
        server = ThreadingHTTPServer((str(LOOPBACK), port), _handler(secrets))
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on port {port}: {error.strerror}. Choose another one with --port."
        ) from error
    with server:
        port = server.server_port
        click.echo(
            f"Add to your uploads: -F webhook_url=http://127.0.0.1:{port}/  (Ctrl-C stops this)"
        )
        _advise(settings, port)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo()


@contextmanager
def _ledger() -> Iterator[None]:
    """Print advice if the ledger or its secret cannot be used."""
    try:
        yield
    except LedgerUnavailable as error:
        raise click.ClickException(for_the_operator(error)) from error
    except SealBroken as error:
        raise click.ClickException(
            "The secret cannot be decrypted. Add the SECRETS_KEY of that"
            " time, or create a new secret with --rotate."
        ) from error


def _advise(settings: Settings, port: int) -> None:
    """Print the settings that let the service send to this machine."""
    loopback = any(LOOPBACK in network for network in settings.allowed_private_networks)
    allowed = any(low <= port <= high for low, high in settings.allowed_ports)
    if not (loopback and allowed):
        change = {"ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8", "ALLOWED_PORTS": f"80,443,{port}"}
        shown = " ".join(f"{name}={shlex.quote(value)}" for name, value in change.items())
        click.secho(f"The service may send here only if it was started with: {shown}", fg="yellow")


def _handler(secrets: Sequence[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers 204 to a verified webhook and 401 to any other."""

        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES)
            body = self.rfile.read(length)
            verified = _verifies(secrets, body, dict(self.headers))
            _show(dict(self.headers), body, verified)
            self.send_response(204 if verified else 401)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing; webhooks are printed already."""

    return Handler


def _verifies(secrets: Sequence[str], body: bytes, headers: dict[str, str]) -> bool:
    for active in secrets:
        try:
            Webhook(active).verify(body, headers)
        except (WebhookVerificationError, ValueError):
            continue
        return True
    return False


def _show(headers: dict[str, str], body: bytes, verified: bool) -> None:
    """Print a request in ASCII: its sender is unknown, and may include terminal escapes."""
    lowered = {name.lower(): value for name, value in headers.items()}
    judgement = "valid signature" if verified else "INVALID SIGNATURE"
    click.secho(
        f"{ascii(lowered.get('webhook-id', ''))}: {judgement}",
        fg="green" if verified else "red",
        bold=True,
    )
    try:
        click.echo(json.dumps(json.loads(body), indent=2))
    except ValueError:
        click.echo(repr(body))
