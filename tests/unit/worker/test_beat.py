"""Beat's schedule: whatever happens to the clock and to the broker, it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from celery.schedules import schedule
from flask import Flask

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.worker import celery_app as tasks_app
from imgcompress.worker.celery_app import SteadyScheduler, every
from imgcompress.worker.queue import slices_in_queue

from tests.support.servers import fresh_broker


def _app(broker: str, sqlite_url: str, folder: Path, **settings: str) -> Iterator[Flask]:
    app = create_worker_app(
        load_settings(
            None, database_url=sqlite_url, data_dir=folder, celery_broker_url=broker, **settings
        )
    )
    with app.app_context():
        yield app
        app.extensions["celery"].close()
        db.engine.dispose()


@pytest.fixture
def app_without_broker(sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return an application whose broker does not answer."""
    yield from _app("redis://127.0.0.1:1/0", sqlite_url, tmp_path)


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return an application with queues of its own."""
    prefix = f"test-{uuid4().hex[:8]}"
    with fresh_broker("redis", prefix) as url:
        yield from _app(url, sqlite_url, tmp_path, queue_prefix=prefix)


def _scheduler(app: Flask) -> SteadyScheduler:
    celery = app.extensions["celery"]
    assert celery.conf.beat_scheduler == f"{SteadyScheduler.__module__}:SteadyScheduler"
    return SteadyScheduler(celery)


def test_a_clock_that_is_put_back_makes_nothing_late(monkeypatch: pytest.MonkeyPatch) -> None:
    found = every(5)
    began = found.now()

    class PutBack(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2000, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(tasks_app, "datetime", PutBack)
    assert timedelta(0) <= found.now() - began < timedelta(seconds=60)
    assert found.is_due(began - timedelta(seconds=6)).is_due


def test_beat_keeps_no_state_after_it_ends(app_without_broker: Flask, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    for _ in range(2):
        scheduler = _scheduler(app_without_broker)
        assert scheduler.tick() <= app_without_broker.config["SETTINGS"].recovery_interval
        scheduler.close()
    assert set(tmp_path.iterdir()) == before


@pytest.mark.redis
def test_due_tasks_are_sent(app: Flask) -> None:
    scheduler = _scheduler(app)
    scheduler.update_from_dict(
        {"sent": {"task": "process_csv", "schedule": schedule(0), "args": ("id", 0)}}
    )
    assert scheduler.tick() == 0
    scheduler.close()
    assert slices_in_queue() == 1


def test_a_broker_that_is_away_is_logged_once(
    app_without_broker: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = _scheduler(app_without_broker)
    producer = app_without_broker.extensions["celery"].amqp.Producer(None)
    for _ in range(3):
        scheduler.apply_entry(scheduler.schedule["recover"], producer=producer)
    assert caplog.text.count("The broker accepts no messages") == 1
