"""The interface over a real ledger and real files, without a broker."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress import create_app
from imgcompress.config import Settings, load_settings
from imgcompress.extensions import db
from imgcompress.worker import queue

CATALOGUE = (
    b"S. No.,Product Name,Input Image Urls\r\n"
    b'1,SKU1,"https://shop.test/1.jpg,https://shop.test/2.jpg"\r\n'
    b"2,SKU2,https://shop.test/3.png\r\n"
)
# Nothing listens there, as when the broker is down.
DEAD_BROKER = "redis://127.0.0.1:1/0"

Upload = Callable[..., TestResponse]


@pytest.fixture(autouse=True, scope="module")
def dead_broker() -> Iterator[None]:
    """Let no upload wait 2 s for the broker that is down: it counts as away already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(queue._away_until, DEAD_BROKER, math.inf)
        yield


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Return the URL of a fresh ledger."""
    return sqlite_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Return the settings of an installation with a fresh ledger; a test may replace some."""
    return load_settings(
        None, database_url=database_url, data_dir=tmp_path, celery_broker_url=DEAD_BROKER
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """Return the application."""
    app = create_app(settings)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of the application."""
    return app.test_client()


@pytest.fixture
def upload(client: FlaskClient) -> Upload:
    """Return a function that uploads a CSV with options."""

    def send(
        content: bytes = CATALOGUE, filename: str = "products.csv", **options: Any
    ) -> TestResponse:
        answer = client.post("/upload", data={"file": (io.BytesIO(content), filename), **options})
        # The test client puts a large body into a temporary file, and leaves it open.
        answer.request.environ["wsgi.input"].close()
        return answer

    return send


@pytest.fixture
def request_id(upload: Upload) -> str:
    """Upload three images in two rows, and return the id of the job."""
    answer = upload()
    assert answer.status_code == 202, answer.text
    result: str = answer.json["request_id"]
    return result


@pytest.fixture
def stored_files(settings: Settings) -> Callable[[], list[Path]]:
    """Return a function that lists the files in the storage."""
    folder = settings.data_dir / "storage"
    return lambda: sorted(path for path in folder.rglob("*") if path.is_file())
