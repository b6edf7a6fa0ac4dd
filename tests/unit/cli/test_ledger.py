"""`imgcompress migrate` between real databases, and `imgcompress prune` on a real ledger and real files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import create_engine, select, text, update

from imgcompress import create_app
from imgcompress.__main__ import command
from imgcompress.config import load_settings
from imgcompress.errors import StorageUnavailable
from imgcompress.extensions import db
from imgcompress.ledger.api_keys import create_key
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.metrics import note_recovery
from imgcompress.ledger.models import JobDeletion, JobRequest, utcnow
from imgcompress.ledger.queries import find_job
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import claim_slice
from imgcompress.storage import csv_key, open_storage
from imgcompress.storage.files import FileStorage
from imgcompress.worker import maintenance
from imgcompress.worker.maintenance import prune, sweep

from ..conftest import MakeApp
from tests.support.databases import fresh_database
from tests.support.new_images import NewImage, by_columns

Run = Callable[..., Result]
IMAGES = 4_500


def make_app(url: str, folder: Path) -> Flask:
    """Return an application of a ledger."""
    return create_app(load_settings(None, database_url=url, data_dir=folder))


@pytest.fixture(scope="module")
def filled(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite ledger with a job, its images, and two keys of one name."""
    folder = tmp_path_factory.mktemp("filled")
    ledger = Path(shutil.copy(sqlite_template, folder / "ledger.sqlite3"))
    app = make_app(f"sqlite:///{ledger}", folder)
    with app.app_context():
        create_job(
            NewJob(uuid4(), "ä.csv", {"format": "webp"}, "http://a", 1, IMAGES, owner="shop"),
            by_columns([NewImage(2, n, "1", "Ä", f"http://a/{n}.jpg") for n in range(IMAGES)]),
            slice_size=500,
        )
        create_key("shop")
        create_key("shop")
        db.engine.dispose()
    return ledger


@pytest.fixture
def source(filled: Path, tmp_path: Path) -> str:
    """Return the URL of a copy of that ledger."""
    return f"sqlite:///{shutil.copy(filled, tmp_path / 'ledger.sqlite3')}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that migrates, in an installation of its own."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "var"))
    return lambda source, target: CliRunner().invoke(
        command, ["migrate", "--from", source, "--to", target]
    )


@pytest.mark.postgres
def test_a_ledger_moves_to_postgres(source: str, run: Run, tmp_path: Path) -> None:
    with fresh_database() as target:
        result = run(source, target)
        assert result.exit_code == 0, result.output
        assert f"compressed_images {IMAGES:>19,}" in result.output
        contents = [_contents(url, tmp_path) for url in (source, target)]
        assert contents[0] == contents[1]
        again = run(source, target)
        assert again.exit_code == 1 and "has rows" in again.output
        engine = create_engine(load_settings(None, database_url=target).database_url)
        with engine.connect() as connection:
            # Ids are made by the service; a sequence would have to be set to go on.
            assert connection.scalar(text("SELECT count(*) FROM pg_sequences")) == 0
        engine.dispose()


def test_a_ledger_moves_to_another_file(source: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.sqlite3"
    target = f"sqlite:///{file}"
    assert run(source, target).exit_code == 0
    # For its user alone.
    assert file.stat().st_mode & 0o777 == 0o600
    assert _contents(source, tmp_path) == _contents(target, tmp_path)


@pytest.mark.parametrize("work", ["slice", "recovery"])
def test_a_service_at_work_is_not_copied(source: str, run: Run, tmp_path: Path, work: str) -> None:
    app = make_app(source, tmp_path)
    with app.app_context():
        if work == "recovery":
            note_recovery()
        else:
            with writing() as session:
                request_id = session.scalar(select(JobRequest.request_id))
            assert request_id is not None and claim_slice(request_id, 0, lease_seconds=60)
        db.engine.dispose()
    target = tmp_path / "new.sqlite3"
    result = run(source, f"sqlite:///{target}")
    assert result.exit_code == 1 and "Stop all of its processes" in result.output
    assert not _contents(f"sqlite:///{target}", tmp_path)["compressed_images"]


def test_a_wrong_database_is_rejected(source: str, run: Run, tmp_path: Path) -> None:
    assert run(source, source).exit_code == 2
    assert "There is no database" in run(f"sqlite:///{tmp_path}/no", source).output
    assert run("mysql://a/b", source).exit_code == 2
    away = run(source, "postgresql://127.0.0.1:1/x")
    assert away.exit_code == 1 and "unavailable" in away.output


def _contents(url: str, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables."""
    app = make_app(url, folder)
    with app.app_context():
        with db.engine.connect() as connection:
            rows = {
                table.name: sorted(
                    (tuple(row) for row in connection.execute(select(table))), key=repr
                )
                for table in db.metadata.sorted_tables
            }
        db.engine.dispose()
    return rows


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
    """Store a file that is some seconds old; return its path."""
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
