"""Settings: typed, all faults reported at once, and each setting in `.env.example`."""

from __future__ import annotations

import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from imgcompress.config import (
    Settings,
    embedded_broker_socket,
    env_example,
    load_settings,
    misspelt_settings,
    variables,
)
from imgcompress.errors import SettingsError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def test_the_example_is_what_the_settings_say() -> None:
    found = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert found == env_example(), "write it again: python -m imgcompress.config > .env.example"
    assert re.findall(r"^(?:# )?([A-Z_]+)=", found, re.M) == variables()


def test_the_table_of_settings_has_each_of_them_once() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([A-Z_]+)`", " ".join(rows))) == sorted(variables())


def test_every_default_passes_its_own_check() -> None:
    for each in fields(Settings):
        declared = each.metadata["setting"]
        if declared.check is not None and declared.default is not None:
            declared.check(declared.default)


def test_all_faults_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {
        "PORT": "many",
        "MIN_QUALITY": "200",
        "ALLOWED_PORTS": "0",
        "DB_PORT": "x",
        "ALLOWED_PRIVATE_NETWORKS": "10.0.0.1/8",
        "PUBLIC_BASE_URL": "images.example.com",
    }
    for name, value in faults.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert all(name in raised.value.message for name in faults)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://u:s3cret@db/images", "must look like postgresql://"),
        ("DATABASE_URL", "postgresql://u:s3cr@et:x@db/images", "must look like postgresql://"),
        ("CELERY_BROKER_URL", "sqs://u:s3cret@queue", "must look like redis://"),
        ("ALLOWED_PORTS", "80,443,abc", "'abc' must be a port between 1 and 65535"),
        ("PUBLIC_BASE_URL", "http://[::1", "must look like https://images.example.com"),
        ("PUBLIC_BASE_URL", "http://images:x", "must look like https://images.example.com"),
        ("STORAGE_URL", "s3://[x", "must look like file:///absolute/path or s3://"),
        ("WEBHOOK_RETRY_PAUSES", "5,x", "must be a list of seconds"),
        ("PORT", "abc", "must be a whole number"),
        ("PORT", "70000", "must be between 1 and 65535"),
        ("FETCH_TIMEOUT", "-1", "must be at least 1"),
        ("REQUIRE_API_KEY", "perhaps", "must be true or false"),
        ("MAX_PROCESS_MEMORY", "5", "must be 0 or at least 268435456"),
    ],
)
def test_an_error_names_the_setting_and_its_form(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(None)
    assert f"{name}: {words}" in caught.value.message
    assert "s3cr" not in caught.value.message


def test_misspelt_settings_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RETENTON_DAYS=3\nAWS_REGION=eu\nMIN_QUALITY=40\n")
    monkeypatch.setenv("ALLOWED_HOST", "images.example.com")
    monkeypatch.setenv("SUPPORTED_HOST", "images")
    assert misspelt_settings(tmp_path / ".env") == {
        "ALLOWED_HOST": "ALLOWED_HOSTS",
        "RETENTON_DAYS": "RETENTION_DAYS",
    }


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
    defaults = load_settings(None)
    for name in variables():
        monkeypatch.setenv(name, empty)
    assert load_settings(None) == defaults


def test_an_empty_value_in_the_file_counts_as_unset(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}=\n" for name in variables()))
    assert load_settings(tmp_path / ".env") == load_settings(None)


def test_an_empty_variable_leaves_the_file_to_decide(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=6000\n")
    monkeypatch.setenv("PORT", "")
    assert load_settings(tmp_path / ".env").port == 6000


def test_networks_and_ports_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_PRIVATE_NETWORKS", "10.0.0.0/8, fd12::/48")
    monkeypatch.setenv("ALLOWED_PORTS", "80,8000-8100")
    settings = load_settings(None)
    assert settings.allowed_private_networks == (ip_network("10.0.0.0/8"), ip_network("fd12::/48"))
    assert settings.allowed_ports == ((80, 80), (8000, 8100))


def test_names_of_hosts_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "Images.example.com, .internal,*")
    assert load_settings(None).allowed_hosts == ("images.example.com", ".internal", "*")


@pytest.mark.parametrize(
    "wrong", ["http://a.test", "a.test:80", "*.a.test", "a b", "[::1]", ".", "a_b", "a.test,b/"]
)
def test_what_is_no_name_of_a_host_is_reported(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", wrong)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert "ALLOWED_HOSTS" in raised.value.message and "without a port" in raised.value.message


@pytest.mark.parametrize("name", ["METRICS_KEY", "IMAGE_URL_SECRET"])
def test_a_short_secret_is_reported_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "xyzzy" * 6)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert name in raised.value.message and "xyzzy" not in raised.value.message
    monkeypatch.setenv(name, "xyzzy" * 7)
    assert "xyzzy" not in repr(load_settings(None))


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
