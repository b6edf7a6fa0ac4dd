"""Settings: where their values come from, their dewrong, and all errors reported at once."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from imgcompress.config import (
    Settings,
    embedded_broker_socket,
    load_settings,
    variables,
)
from imgcompress.errors import SettingsError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def test_the_table_of_settings_has_each_of_them_once() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([A-Z_]+)`", " ".join(rows))) == sorted(variables())


def test_every_default_passes_its_own_check() -> None:
    for each in fields(Settings):
        declared = each.metadata["setting"]
        if declared.check is not None and declared.default is not None:
            declared.check(declared.default)


def test_all_errors_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "PORT": "many",
        "MIN_QUALITY": "200",
        "ALLOWED_PORTS": "0",
        "DB_PORT": "x",
        "ALLOWED_PRIVATE_NETWORKS": "10.0.0.1/8",
        "PUBLIC_BASE_URL": "images.example.com",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert all(name in raised.value.message for name in wrong)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_postgres_url_names_the_driver(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u:p@db:5432/images")
    assert load_settings(None).database_url == "postgresql+psycopg2://u:p@db:5432/images"


def test_postgres_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DB_HOST": "db",
        "DB_USER": "me",
        "DB_PASSWORD": "p@ss/word",
        "DB_NAME": "images",
    }.items():
        monkeypatch.setenv(name, value)
    expected = "postgresql+psycopg2://me:p%40ss%2Fword@db:5432/images"
    assert load_settings(None).database_url == expected


def test_the_environment_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=6000\nHOST=0.0.0.0\n")
    monkeypatch.setenv("PORT", "7000")
    settings = load_settings(tmp_path / ".env")
    assert (settings.port, settings.host) == (7000, "0.0.0.0")


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    dewrong = load_settings(None)
    for name in variables():
        monkeypatch.setenv(name, empty)
    assert load_settings(None) == dewrong


def test_an_empty_value_in_the_file_counts_as_unset(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}=\n" for name in variables()))
    assert load_settings(tmp_path / ".env") == load_settings(None)


def test_an_empty_variable_leaves_the_file_to_decide(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=6000\n")
    monkeypatch.setenv("PORT", "")
    assert load_settings(tmp_path / ".env").port == 6000


def test_the_broker_is_embedded_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(None).embedded_broker
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1/0")
    assert not load_settings(None).embedded_broker


def test_the_socket_path_stays_within_what_the_system_can_bind(tmp_path: Path) -> None:
    assert embedded_broker_socket(Path("/srv/data")) == Path("/srv/data/broker/valkey.sock")
    assert len(str(embedded_broker_socket(tmp_path / ("deep/" * 40)))) < 100


def test_one_host_may_have_all_downloads_unless_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_CONCURRENCY", "9")
    assert load_settings(None).fetch_per_host == 9
    monkeypatch.setenv("FETCH_PER_HOST", "2")
    assert load_settings(None).fetch_per_host == 2
