"""A ledger on each kind of database, and jobs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import NewJob, create_job

from ..conftest import MakeApp
from tests.support.new_images import NewImage, by_columns

MakeJob = Callable[..., UUID]


@pytest.fixture
def app(ledger_url: str, make_app: MakeApp) -> Iterator[Flask]:
    """Return an application whose ledger is fresh; its context is open."""
    app = make_app(worker=True, database_url=ledger_url)
    with app.app_context():
        yield app


@pytest.fixture
def make_job(app: Flask) -> MakeJob:
    """Return a function that creates a job of images with the given URLs."""

    def make(
        urls: list[str] | int = 3,
        *,
        slice_size: int = 50,
        webhook_url: str | None = "https://hooks.test/",
        **options: Any,
    ) -> UUID:
        if isinstance(urls, int):
            urls = [f"https://images.test/{number}.jpg" for number in range(urls)]
        request_id = uuid4()
        images = [
            NewImage(row + 2, 0, str(row + 1), f"Product {row}", url)
            for row, url in enumerate(urls)
        ]
        create_job(
            NewJob(
                request_id,
                "products.csv",
                {"compression_percentage": 50},
                "http://service.test",
                total_rows=len(urls),
                total_images=len(urls),
                webhook_url=webhook_url,
                **options,
            ),
            by_columns(images),
            slice_size=slice_size,
        )
        return request_id

    return make
