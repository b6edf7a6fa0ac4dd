"""`imgcompress prune` on a real ledger and real files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import update

from imgcompress.errors import StorageUnavailable
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import JobDeletion, JobRequest, utcnow
from imgcompress.ledger.queries import find_job
from imgcompress.ledger.session import writing
from imgcompress.storage import csv_key, open_storage
from imgcompress.storage.files import FileStorage
from imgcompress.worker import maintenance
from imgcompress.worker.maintenance import prune, sweep

from ..conftest import MakeApp
from tests.support.new_images import NewImage, by_columns

DAYS = 86_400


@pytest.fixture
def app(make_app: MakeApp) -> Iterator[Flask]:
    """Return an application that keeps jobs for 30 days; its context is open."""
    app = make_app(retention_days=30)
    with app.app_context():
        yield app


@pytest.fixture
def job(app: Flask) -> UUID:
    """Return a job that ended a year ago, with its CSV."""
    request_id = uuid4()
    create_job(
        NewJob(request_id, "products.csv", {}, "http://service.test", 1, 1),
        by_columns([NewImage(2, 0, "1", "Lamp", "https://images.test/1.jpg")]),
        slice_size=50,
    )
    cancel_job(request_id)
    with writing() as session:
        row = session.get_one(JobRequest, request_id)
        row.created_at = row.finished_at = utcnow().replace(year=utcnow().year - 1)
    _store(app, csv_key(request_id), age=0)
    return request_id


def _store(app: Flask, key: str, *, age: float) -> Path:
    """Store a file that is so many seconds old; return its path."""
    open_storage(app.config["SETTINGS"]).write(key, b"1,Lamp")
    path: Path = app.config["SETTINGS"].data_dir / "storage" / key
    os.utime(path, (time.time() - age,) * 2)
    return path


def _run(app: Flask, *arguments: str) -> str:
    result = app.test_cli_runner().invoke(args=["prune", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_old_jobs_are_deleted_with_their_files(app: Flask, job: UUID) -> None:
    path = app.config["SETTINGS"].data_dir / "storage" / csv_key(job)
    output = _run(app, "--older-than", "1000")
    assert "Deleted jobs that ended 1000 days ago or earlier: 0\n" in output
    assert find_job(job) and path.exists()

    assert "Deleted jobs that ended 30 days ago or earlier: 1\n" in _run(app)
    assert find_job(job) is None and not path.exists()


def test_a_dry_run_lists_and_deletes_nothing(app: Flask, job: UUID) -> None:
    orphan = _store(app, csv_key(uuid4()), age=2 * DAYS)
    answer = _run(app, "--dry-run")

    assert "Jobs that ended 30 days ago or earlier: 1\n" in answer
    assert "Files that belong to no job: 1 of 1\n" in answer
    assert find_job(job) and orphan.exists()


def test_orphans_are_deleted_and_a_write_in_flight_stays(app: Flask) -> None:
    orphan, young = (_store(app, csv_key(uuid4()), age=age) for age in (2 * DAYS, 60))
    assert "Deleted files that belonged to no job: 1\n" in _run(app)
    assert not orphan.exists() and young.exists()


def test_the_schedule_prunes_too(app: Flask, job: UUID) -> None:
    orphan = _store(app, csv_key(uuid4()), age=2 * DAYS)
    prune()
    sweep()
    assert find_job(job) is None and not orphan.exists()


def test_an_unavailable_storage_is_reported_and_retried(
    app: Flask, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageUnavailable(detail="no space left")

    with monkeypatch.context() as patch:
        patch.setattr(FileStorage, "delete_folder", fail)
        patch.setattr(FileStorage, "list", fail)
        result = app.test_cli_runner().invoke(args=["prune"])
        assert result.exit_code == 1 and "no space left" in result.output
        prune()
        sweep()
    path = app.config["SETTINGS"].data_dir / "storage" / csv_key(job)
    assert path.exists()
    with writing() as session:
        session.execute(update(JobDeletion).values(due_at=utcnow()))
    maintenance.purge_deleted_jobs()
    assert not path.exists()
