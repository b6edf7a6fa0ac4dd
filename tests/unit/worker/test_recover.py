"""What recovery does when the storage is away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import update

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger import clock
from imgcompress.ledger.deletion import soft_delete
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.metrics import note_recovery, recovery_age
from imgcompress.ledger.models import JobDeletion, utcnow
from imgcompress.ledger.session import writing
from imgcompress.storage import csv_key
from imgcompress.worker import maintenance
from imgcompress.worker.maintenance import purge_deleted_jobs

from tests.support.buckets import Bucket
from tests.support.new_images import NewImage, by_columns


@pytest.fixture
def app(
    sqlite_url: str, tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """Return an application that stores in a bucket; its context is open."""
    app = create_app(
        bucket.use(monkeypatch, load_settings(None, database_url=sqlite_url, data_dir=tmp_path))
    )
    with app.app_context():
        yield app
        db.engine.dispose()


def _deleted_job() -> UUID:
    request_id = uuid4()
    create_job(
        NewJob(request_id, "products.csv", {}, "http://service.test", total_rows=1, total_images=1),
        by_columns([NewImage(2, 0, "1", "Rocket", "https://shop.test/1.jpg")]),
        slice_size=50,
    )
    assert soft_delete(request_id, None)
    return request_id


def test_after_a_clock_step_recovery_corrects_times_in_the_future(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(clock, "ADVANCED", timedelta(hours=3))
        _deleted_job()
        note_recovery()
    monkeypatch.setattr(maintenance, "_began", -math.inf)
    maintenance.recover()
    assert "times in the future were corrected" in caplog.text
    assert "1 deleted jobs were erased" in caplog.text
    age = recovery_age()
    assert age is not None and age < 60


def _let_time_pass() -> None:
    with writing() as session:
        session.execute(update(JobDeletion).values(due_at=utcnow() - timedelta(seconds=1)))


def test_the_files_of_a_deleted_job_go_when_the_storage_is_back(
    app: Flask, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    app.extensions["storage"].write(csv_key(_deleted_job()), b"a CSV")
    _let_time_pass()
    with bucket.taken_away():
        purge_deleted_jobs()
    assert "are waiting for the storage" in caplog.text and len(bucket.objects()) == 1
    _let_time_pass()
    purge_deleted_jobs()
    assert bucket.objects() == []
