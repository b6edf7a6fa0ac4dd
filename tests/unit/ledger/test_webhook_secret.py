"""The secret that signs webhooks, where no setting gives one."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from imgcompress.app import create_worker_app
from imgcompress.extensions import db
from imgcompress.ledger.models import Installation
from imgcompress.ledger.seals import SealBroken
from imgcompress.ledger.session import reading
from imgcompress.ledger.webhook_secret import reseal_installation, retire, rotate, signing_secrets

from tests.support.parallel import in_parallel

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = [urlsafe_b64encode(bytes([number]) * 32).decode() for number in range(2)]


def set_up(app: Flask, **settings: Any) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], **settings)


@contextmanager
def machine(app: Flask, data_dir: Path) -> Iterator[None]:
    """Be another machine of the installation, with a DATA_DIR of its own."""
    other = create_worker_app(replace(app.config["SETTINGS"], data_dir=data_dir))
    with other.app_context():
        yield
        for engine in db.engines.values():
            engine.dispose()


def kept() -> str:
    with reading() as session:
        return session.get_one(Installation, "webhook_secrets").value


def test_a_configured_secret_is_used_unchanged(app: Flask) -> None:
    set_up(app, webhook_secrets=("whsec_new", "whsec_old"))
    assert signing_secrets() == ("whsec_new", "whsec_old")
    with reading() as session:
        assert session.get(Installation, "webhook_secrets") is None


def test_a_missing_secret_is_made_once(app: Flask) -> None:
    (secret,) = signing_secrets()
    assert len(b64decode(secret.removeprefix("whsec_"))) == 32
    assert signing_secrets() == (secret,)
    assert list(app.config["SETTINGS"].data_dir.glob("webhook_secret")) == []


def test_all_machines_of_an_installation_share_the_secret(app: Flask, tmp_path: Path) -> None:
    secrets = signing_secrets()
    with machine(app, tmp_path / "other"):
        assert signing_secrets() == secrets
        rotated = rotate()
    assert signing_secrets() == rotated == (rotated[0], *secrets)


def test_processes_that_start_together_agree_on_one_secret(app: Flask) -> None:
    def read(_: int) -> tuple[str, ...]:
        with app.app_context():
            return signing_secrets()

    assert len(set(in_parallel(read, 8))) == 1


def test_the_file_of_an_older_version_is_taken_over_once(app: Flask) -> None:
    file = app.config["SETTINGS"].data_dir / "webhook_secret"
    file.write_text(f"{OLD}\n")
    assert signing_secrets() == (OLD,)
    file.write_text("whsec_of-another-machine\n")
    assert signing_secrets() == (OLD,)
    file.unlink()
    assert signing_secrets() == (OLD,)


def test_a_new_secret_signs_beside_the_newest_one_until_that_is_retired(app: Flask) -> None:
    (first,) = signing_secrets()
    second, still = rotate()
    assert still == first != second
    assert signing_secrets() == (second, first)
    third, second_still = rotate()
    assert second_still == second
    assert retire() == signing_secrets() == (third,)


def test_of_two_rotations_at_once_none_is_lost(app: Flask) -> None:
    (first,) = signing_secrets()

    def turn(_: int) -> tuple[str, ...]:
        with app.app_context():
            return rotate()

    made = in_parallel(turn, 4)
    assert len({newest for newest, _ in made}) == 4
    # Each one goes before one that stood, and no two go before the same.
    assert len({before for _, before in made}) == 4 and first in {before for _, before in made}


def test_with_a_key_the_secret_is_sealed_and_sealed_again_with_a_newer_one(app: Flask) -> None:
    (secret,) = signing_secrets()
    assert kept() == secret and reseal_installation() == 0
    set_up(app, secrets_keys=(KEYS[0],))
    assert reseal_installation() == 1 and reseal_installation() == 0
    sealed = kept()
    assert secret not in sealed and signing_secrets() == (secret,)
    set_up(app, secrets_keys=(KEYS[1], KEYS[0]))
    assert reseal_installation() == 1 and kept() != sealed
    assert secret not in kept() and signing_secrets() == (secret,)


def test_only_a_rotation_replaces_a_secret_whose_key_is_lost(app: Flask) -> None:
    set_up(app, secrets_keys=(KEYS[0],))
    (lost,) = signing_secrets()
    set_up(app, secrets_keys=(KEYS[1],))
    for call in (signing_secrets, retire, reseal_installation):
        with pytest.raises(SealBroken):
            call()
    (found,) = rotate()
    assert found != lost and signing_secrets() == (found,)
