"""Secrets of uploads, encrypted in the ledger."""

from __future__ import annotations

import logging
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import MetaData, select, update

from imgcompress.extensions import db
from imgcompress.ledger.models import JobRequest, utcnow
from imgcompress.ledger.seals import SealBroken, reseal_secrets, seal, unseal
from imgcompress.ledger.session import reading, writing

from .conftest import MakeJob
from tests.support.records import job_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = [urlsafe_b64encode(bytes([number]) * 32).decode() for number in range(3)]


def set_up(app: Flask, **settings: Any) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], **settings)


def opened(request_id: UUID) -> str:
    return unseal(job_of(request_id).sealed_secret or "")


def leave_plain(request_id: UUID, hours: float) -> None:
    """Change a job to the form of an older version, created some hours ago."""
    with writing() as session:
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == request_id)
            .values(
                webhook_secret=SECRET,
                sealed_secret=None,
                created_at=utcnow() - timedelta(hours=hours),
            )
        )


def test_the_secret_of_an_upload_is_nowhere_in_the_ledger(app: Flask, make_job: MakeJob) -> None:
    request_id = make_job(1, webhook_secret=SECRET)
    assert opened(request_id) == SECRET
    key = (app.config["SETTINGS"].data_dir / "secrets_key").read_text().strip()
    found = MetaData()
    found.reflect(db.engine)
    with reading() as session:
        kept = str([list(session.execute(select(table))) for table in found.sorted_tables])
    assert str(request_id.hex)[:8] in kept.replace("-", "")
    assert SECRET not in kept and SECRET.removeprefix("whsec_") not in kept and key not in kept


def test_without_a_secret_there_is_neither_a_seal_nor_a_key(app: Flask, make_job: MakeJob) -> None:
    assert job_of(make_job(1)).sealed_secret is None
    assert not (app.config["SETTINGS"].data_dir / "secrets_key").exists()


def test_only_this_user_can_read_a_created_key(app: Flask) -> None:
    seal(SECRET)
    path = app.config["SETTINGS"].data_dir / "secrets_key"
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_seals_of_one_secret_differ(app: Flask) -> None:
    assert seal(SECRET) != seal(SECRET)


@pytest.mark.parametrize("place", [0, 3, 12, 60, -3])
def test_a_sealed_secret_that_was_changed_is_not_opened(app: Flask, place: int) -> None:
    sealed = list(seal(SECRET))
    sealed[place] = "A" if sealed[place] != "A" else "B"
    with pytest.raises(SealBroken) as caught:
        unseal("".join(sealed))
    assert SECRET not in str(caught.value)


def test_a_new_key_encrypts_the_secrets_of_the_old_one(app: Flask, make_job: MakeJob) -> None:
    jobs = [make_job(1, webhook_secret=f"{SECRET}{number}") for number in range(3)]
    for keys in ((KEYS[0],), (KEYS[1], KEYS[0]), (KEYS[2], KEYS[1])):
        set_up(app, secrets_keys=keys)
        assert reseal_secrets() == 3
        assert reseal_secrets() == 0
    set_up(app, secrets_keys=(KEYS[2],))
    assert [opened(job) for job in jobs] == [f"{SECRET}{number}" for number in range(3)]


def test_before_that_every_key_that_is_left_opens(app: Flask, make_job: MakeJob) -> None:
    by_file = make_job(1, webhook_secret=SECRET)
    set_up(app, webhook_secrets=(SECRET,))
    by_webhook_secret = make_job(1, webhook_secret=SECRET)
    set_up(app, secrets_keys=(KEYS[0],))
    by_setting = make_job(1, webhook_secret=SECRET)
    set_up(app, secrets_keys=(KEYS[1], KEYS[0]))
    assert {opened(job) for job in (by_file, by_webhook_secret, by_setting)} == {SECRET}
    assert reseal_secrets() == 3


def test_machines_that_share_a_webhook_secret_open_each_others_seals(
    app: Flask, tmp_path_factory: pytest.TempPathFactory
) -> None:
    set_up(app, webhook_secrets=("whsec_of-both",))
    sealed = seal(SECRET)
    set_up(app, data_dir=tmp_path_factory.mktemp("another"))
    assert unseal(sealed) == SECRET


def test_plain_secrets_of_older_versions_are_sealed(app: Flask, make_job: MakeJob) -> None:
    young, old = make_job(1, webhook_secret=SECRET), make_job(1, webhook_secret=SECRET)
    leave_plain(young, hours=23)
    leave_plain(old, hours=25)
    assert reseal_secrets() == 1
    assert (job_of(young).webhook_secret, job_of(young).sealed_secret) == (SECRET, None)
    assert (job_of(old).webhook_secret, opened(old)) == (None, SECRET)


def test_a_lost_key_is_reported_and_holds_up_no_other(
    app: Flask, make_job: MakeJob, caplog: pytest.LogCaptureFixture
) -> None:
    set_up(app, secrets_keys=(KEYS[0],))
    lost = make_job(1, webhook_secret=SECRET)
    set_up(app, secrets_keys=(KEYS[1],))
    kept = [make_job(1, webhook_secret=SECRET) for _ in range(2)]
    set_up(app, secrets_keys=(KEYS[2], KEYS[1]))
    with caplog.at_level(logging.ERROR):
        assert reseal_secrets() == 2
    assert "1 jobs cannot be read" in caplog.text and SECRET not in caplog.text
    assert {opened(job) for job in kept} == {SECRET}
    with pytest.raises(SealBroken):
        opened(lost)
