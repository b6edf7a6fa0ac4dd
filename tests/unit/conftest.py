"""Applications in this process, on ledgers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from imgcompress import create_app
from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.extensions import db

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(sqlite_url: str, tmp_path: Path) -> Iterator[MakeApp]:
    """Return a function that makes an application, of a worker if asked, with the given settings.

    Without a `database_url` the ledger is a fresh one on SQLite. The connections are closed when the
    test ends.
    """
    with ExitStack() as stack:

        def make(*, worker: bool = False, **settings: object) -> Flask:
            create = create_worker_app if worker else create_app
            app = create(
                load_settings(None, **{"database_url": sqlite_url, "data_dir": tmp_path} | settings)
            )
            stack.callback(_close, app)
            return app

        yield make


def _close(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose()
