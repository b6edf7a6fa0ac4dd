"""Tasks without a ledger: each ends in one line of the log, and a later one does its work."""

from __future__ import annotations

import logging
import math
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.worker import maintenance
from imgcompress.worker.celery_app import TASK_MODULES

NOWHERE = "postgresql://postgres@127.0.0.1:1/none"


@pytest.mark.parametrize(
    "name, arguments",
    [("recover", ()), ("prune", ()), ("deliver_due", ()), ("process_csv", (str(uuid4()), 0))],
)
def test_a_task_without_a_ledger_ends_with_one_log_line(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: tuple[object, ...],
) -> None:
    monkeypatch.setattr(maintenance, "_began", -math.inf)
    app = create_worker_app(
        load_settings(None, database_url=NOWHERE, data_dir=tmp_path, retention_days=1)
    )
    for module in TASK_MODULES:
        import_module(module)
    app.extensions["celery"].tasks[name](*arguments)
    found = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.exc_info for record in found] == [None]
    assert "a later one does its work" in caplog.text and "Connection refused" in caplog.text
