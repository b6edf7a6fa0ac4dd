"""The doorbell: what was rung can be counted, and a broker that is away harms nobody."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.slices import reserve_slices
from imgcompress.worker import queue
from imgcompress.worker.queue import check_broker, publish_slices, slices_in_queue

from tests.support.new_images import NewImage, by_columns
from tests.support.servers import fresh_broker

DEAD_BROKER = "redis://127.0.0.1:1/0"


def _app(url: str, prefix: str, database_url: str, tmp_path: Path) -> Iterator[Flask]:
    app = create_worker_app(
        load_settings(
            None,
            database_url=database_url,
            data_dir=tmp_path,
            celery_broker_url=url,
            queue_prefix=prefix,
        )
    )
    with app.app_context():
        yield app
        app.extensions["celery"].close()
        db.engine.dispose()


@pytest.fixture(
    params=[pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in ("redis", "rabbitmq")]
)
def app(request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return an application with queues of its own on each kind of broker."""
    prefix = f"test-{uuid4().hex[:8]}"
    with fresh_broker(request.param, prefix) as url:
        yield from _app(url, prefix, sqlite_url, tmp_path)


@pytest.fixture
def app_without_broker(sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return an application whose broker does not answer."""
    yield from _app(DEAD_BROKER, "test", sqlite_url, tmp_path)


def _job_of(images: int) -> NewJob:
    job = NewJob(
        uuid4(), "products.csv", {}, "http://service.test", total_rows=images, total_images=images
    )
    urls = [f"https://a.test/{number}" for number in range(images)]
    create_job(
        job,
        by_columns(NewImage(2, place, "", "", url) for place, url in enumerate(urls)),
        slice_size=1,
    )
    return job


def test_published_slices_stand_in_the_queue(app: Flask) -> None:
    assert slices_in_queue() == 0
    job = _job_of(5)
    assert publish_slices(job.request_id) and publish_slices(job.request_id)
    assert slices_in_queue() == 2


def test_slices_that_a_dead_broker_rejects_are_published_later(app_without_broker: Flask) -> None:
    job = _job_of(5)
    assert not publish_slices(job.request_id)
    assert slices_in_queue() is None
    assert reserve_slices(job.request_id, 2) == [0, 1]


@pytest.fixture(params=["redis", "amqp"])
def app_with_hanging_broker(
    request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """Return an application whose broker takes connections and never answers."""
    monkeypatch.setattr(queue, "_away_until", {})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        yield from _app(f"{request.param}://127.0.0.1:{port}//", "test", sqlite_url, tmp_path)


def test_a_broker_that_hangs_counts_as_down(app_with_hanging_broker: Flask) -> None:
    job = _job_of(5)
    began = time.monotonic()
    assert not publish_slices(job.request_id)
    with pytest.raises(TimeoutError, match="a moment ago"):
        check_broker()
    assert slices_in_queue() is None
    assert time.monotonic() - began < 20
    assert reserve_slices(job.request_id, 2) == [0, 1]


def test_a_broker_that_answers_accepts_messages(app: Flask) -> None:
    check_broker()
    assert slices_in_queue() == 0
