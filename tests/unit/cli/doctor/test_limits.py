"""Settings that contradict each other are reported one by one, and the defaults do not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from imgcompress.cli.doctor import RULES, Level, check_settings
from imgcompress.config import Settings, load_settings

POSTGRES = {"database_url": "postgresql://db/images"}
REDIS = {"celery_broker_url": "redis://queue/0"}
S3 = {"storage_url": "s3://images"}
# Settings, and what is reported of them alone.
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"fetch_timeout": 150.0}, "FETCH_TIMEOUT and COMPRESS_TIMEOUT"),
    ({"fetch_connect_timeout": 30.0}, "FETCH_CONNECT_TIMEOUT"),
    ({"fetch_per_host": 20}, "FETCH_PER_HOST"),
    ({"max_process_memory": 2**30}, "MAX_PROCESS_MEMORY"),
    ({"recovery_interval": 60.0}, "RECOVERY_INTERVAL"),
    ({"host": "0.0.0.0", "public_base_url": "http://a.test"}, "see and delete all jobs"),
    ({"host": "0.0.0.0", "require_api_key": True}, "PUBLIC_BASE_URL is unset"),
    ({"allowed_hosts": ("*",)}, "DNS rebinding"),
    ({"public_base_url": "https://a.test", "reads_per_minute": 60}, "TRUSTED_PROXIES"),
    (REDIS, "SQLite works on this machine only"),
    (POSTGRES, "embedded broker works on this machine only"),
    (POSTGRES | REDIS | S3, "SECRETS_KEY is unset"),
    (POSTGRES | REDIS | {"secrets_keys": ("key",)}, "STORAGE_URL is a folder"),
    ({"signed_image_urls": True, "image_base_url": "https://cdn.test"}, "IMAGE_BASE_URL"),
    ({"retention_days": 2}, "WEBHOOK_RETRY_PAUSES"),
    ({"retention_days": 5, "signed_image_urls": True}, "IMAGE_URL_SECONDS"),
]


@pytest.fixture(autouse=True)
def _large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have 64 GiB, whatever it has."""
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * 2**18}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)


def _settings(tmp_path: Path, **changed: Any) -> Settings:
    return load_settings(None, data_dir=tmp_path, **changed)


def test_the_defaults_contradict_nothing(tmp_path: Path) -> None:
    (finding,) = check_settings(_settings(tmp_path))
    assert finding.level == Level.OK


@pytest.mark.parametrize("changed, expected", BROKEN, ids=[expected for _, expected in BROKEN])
def test_a_contradiction_is_reported(
    tmp_path: Path, changed: dict[str, Any], expected: str
) -> None:
    (finding,) = check_settings(_settings(tmp_path, **changed))
    assert finding.level != Level.OK and expected in finding.text


def test_every_rule_is_tested() -> None:
    for rule in RULES:
        assert sum(answer in rule.text for _, answer in BROKEN) == 1, rule.text


def test_a_limit_that_ends_healthy_tasks_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_settings(_settings(tmp_path, compress_timeout=300.0))
    assert finding.level == Level.ERROR


@pytest.mark.parametrize("processes, level", [(100, Level.WARNING), (1, Level.OK)])
def test_images_have_room_in_memory(tmp_path: Path, processes: int, level: Level) -> None:
    (finding,) = check_settings(_settings(tmp_path, worker_processes=processes))
    assert finding.level == level


def test_too_little_memory_for_one_process_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_settings(_settings(tmp_path, max_image_pixels=10**10, max_process_memory=0))
    assert finding.level == Level.ERROR and "GiB" in finding.text
