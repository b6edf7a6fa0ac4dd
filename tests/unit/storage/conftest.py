"""Storages of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcompress.config import load_settings
from imgcompress.storage import Storage, open_storage

from tests.support.buckets import Bucket


@pytest.fixture
def file_storage(tmp_path: Path) -> Storage:
    """Return an empty storage in files, below a folder that is not made yet."""
    return open_storage(load_settings(None, storage_url=(tmp_path / "made" / "later").as_uri()))


@pytest.fixture
def s3_storage(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Return an empty storage in a bucket."""
    return open_storage(bucket.use(monkeypatch, load_settings(None)))


@pytest.fixture(params=["file", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Return an empty storage, of each kind."""
    storage: Storage = request.getfixturevalue(f"{request.param}_storage")
    return storage
