"""The factories: what an application makes before it does anything."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from imgcompress.app import create_app, create_worker_app
from imgcompress.config import load_settings
from imgcompress.errors import SettingsError


def test_a_worker_has_tasks_and_no_calls(tmp_path: Path) -> None:
    app = create_worker_app(load_settings(None, data_dir=tmp_path / "var"))
    assert "celery" in app.extensions
    assert [rule.endpoint for rule in app.url_map.iter_rules()] == ["static"]


def test_the_folder_of_the_data_is_made(tmp_path: Path) -> None:
    settings = load_settings(None, data_dir=tmp_path / "deep" / "var")
    create_worker_app(settings)
    assert settings.data_dir.is_dir()


def test_a_folder_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="DATA_DIR=.* cannot be created: .*\nSet DATA_DIR to"):
        create_app(load_settings(None, data_dir=tmp_path / "file" / "var"))


def test_an_application_that_nobody_uses_any_more_is_freed(tmp_path: Path) -> None:
    settings = load_settings(None, data_dir=tmp_path)
    unused = weakref.ref(create_app(settings))
    # Celery keeps the newest.
    create_app(settings)
    gc.collect()
    assert unused() is None
