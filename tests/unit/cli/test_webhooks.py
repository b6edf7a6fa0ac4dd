"""`imgcompress webhooks`, run inside an application."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import insert

from imgcompress.ledger.models import ReceiverCircuit, utcnow
from imgcompress.ledger.receivers import failing_receivers
from imgcompress.ledger.session import writing
from imgcompress.ledger.webhook_secret import signing_secrets

from ..conftest import MakeApp

RECEIVER = "https://hooks.test:443"
KEY = urlsafe_b64encode(b"k" * 32).decode()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an application whose ledger is fresh."""
    return make_app()


def _run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["webhooks", *arguments])


def test_the_secret_is_made_shown_and_replaced_step_by_step(app: Flask) -> None:
    first = _run(app, "secret").stdout.split()
    with app.app_context():
        assert first == list(signing_secrets()) and first[0].startswith("whsec_")
    both = _run(app, "secret", "--rotate").stdout.split()
    assert both[1:] == first and both[0] != first[0]
    assert _run(app, "secret", "--retire").stdout.split() == both[:1]


def test_a_secret_of_the_settings_is_shown_and_replaced_there(app: Flask) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], webhook_secrets=("whsec_a", "whsec_b"))
    assert _run(app, "secret").stdout.split() == ["whsec_a", "whsec_b"]
    rejected = _run(app, "secret", "--rotate")
    assert rejected.exit_code == 1 and "WEBHOOK_SECRET" in rejected.output


def test_a_secret_that_cannot_be_read_is_replaced(app: Flask) -> None:
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = replace(settings, secrets_keys=(KEY,))
    (lost,) = _run(app, "secret").stdout.split()
    app.config["SETTINGS"] = settings
    rejected = _run(app, "secret")
    assert rejected.exit_code == 1
    assert "SECRETS_KEY" in rejected.output and "--rotate" in rejected.output
    (found,) = _run(app, "secret", "--rotate").stdout.split()
    assert found != lost


def test_a_suspended_receiver_is_listed_and_reset(app: Flask) -> None:
    assert "No receiver is failing" in _run(app, "receivers").output
    with app.app_context(), writing() as session:
        session.execute(
            insert(ReceiverCircuit).values(
                receiver=RECEIVER, failures=7, open_until=utcnow() + timedelta(hours=1)
            )
        )
    listed = _run(app, "receivers").output
    assert RECEIVER in listed and "7 failures in a row, suspended until" in listed
    assert "no longer suspended" in _run(app, "reset", RECEIVER).output
    with app.app_context():
        assert failing_receivers() == []


def test_an_unknown_receiver_cannot_be_reset(app: Flask) -> None:
    rejected = _run(app, "reset", "https://unknown.test:443")
    assert rejected.exit_code == 1 and "imgcompress webhooks receivers" in rejected.output


@pytest.mark.parametrize("command", ["receivers", "secret"])
def test_without_a_ledger_the_error_says_what_to_do(
    make_app: MakeApp, tmp_path: Path, command: str
) -> None:
    rejected = _run(make_app(database_url=f"sqlite:///{tmp_path}/none"), command)
    assert rejected.exit_code == 1 and "imgcompress db upgrade" in rejected.output
