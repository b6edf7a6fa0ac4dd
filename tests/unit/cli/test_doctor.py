"""`imgcompress doctor` on real databases, brokers, files and mail servers, and on contradictory settings."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from imgcompress import create_app, imaging
from imgcompress.cli import doctor
from imgcompress.cli.doctor import RULES, Level, check_settings
from imgcompress.config import Settings, load_settings
from imgcompress.extensions import db
from imgcompress.ledger import clock
from imgcompress.ledger.metrics import note_recovery, recovery_age
from imgcompress.setting_parsers import SmtpServer

from tests.support.buckets import CREDENTIALS
from tests.support.databases import set_read_only
from tests.support.mail_server import PASSWORD, USER, MailServer
from tests.support.servers import redis_url

DEAD_BROKER = "redis://127.0.0.1:1/0"
Lines = dict[str, tuple[str, str]]


@contextmanager
def _installation(tmp_path: Path, url: str, **settings: Any) -> Iterator[Flask]:
    app = create_app(
        load_settings(
            None,
            database_url=url,
            data_dir=tmp_path,
            **{"celery_broker_url": DEAD_BROKER} | settings,
        )
    )
    with app.app_context():
        yield app
        db.engine.dispose()


def _consult(app: Flask) -> tuple[int, Lines]:
    """Return the exit code, and the last line of each check: how grave, and in words."""
    result = app.test_cli_runner().invoke(args=["doctor"])
    lines: Lines = {}
    for line in result.output.splitlines():
        match = re.fullmatch(r"(ok|warning|error) +(\w+) +(.+)", line)
        assert match, line
        lines[match[2]] = (match[1], match[3])
    return result.exit_code, lines


@pytest.mark.redis
def test_a_good_installation_has_no_error(tmp_path: Path, ledger_url: str) -> None:
    with _installation(tmp_path, ledger_url, celery_broker_url=redis_url()) as app:
        note_recovery()
        code, lines = _consult(app)

    assert code == 0, lines
    for name in ("database", "clock", "storage", "recovery", "workers", "mail"):
        assert lines[name][0] == "ok", lines[name]
    assert lines["broker"][0] != "error"
    assert lines.keys() == {
        "database",
        "clock",
        "broker",
        "storage",
        "space",
        "privacy",
        "engine",
        "recovery",
        "workers",
        "mail",
        "user",
        "settings",
    }


def test_a_missing_database_is_reported_and_not_made(tmp_path: Path) -> None:
    with _installation(tmp_path, f"sqlite:///{tmp_path}/none.sqlite3") as app:
        code, lines = _consult(app)

    assert code == 1
    assert lines["database"][0] == "error" and "imgcompress db upgrade" in lines["database"][1]
    assert "clock" not in lines and "storage" in lines
    assert not (tmp_path / "none.sqlite3").exists()


@pytest.mark.parametrize(
    "found, level, expected",
    [("0001", "error", "imgcompress db upgrade"), ("9999", "warning", "newer than this version")],
)
def test_another_schema_is_reported(
    tmp_path: Path, sqlite_url: str, found: str, level: str, expected: str
) -> None:
    with _installation(tmp_path, sqlite_url) as app:
        with db.engine.begin() as connection:
            connection.execute(
                text("UPDATE alembic_version SET version_num = :found"), {"found": found}
            )
        code, lines = _consult(app)

    assert lines["database"][0] == level and expected in lines["database"][1]


@pytest.mark.postgres
def test_a_read_only_database_is_an_error(tmp_path: Path, postgres_ledger_url: str) -> None:
    set_read_only(postgres_ledger_url)
    with _installation(tmp_path, postgres_ledger_url) as app:
        code, lines = _consult(app)

    assert code == 1
    assert lines["database"][0] == "error" and "read-only" in lines["database"][1]


def test_what_does_not_answer_is_an_error(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "file").touch()
    with _installation(
        tmp_path,
        sqlite_url,
        smtp_server=SmtpServer("127.0.0.1", 1),
        storage_url=f"file://{tmp_path}/file/folder",
    ) as app:
        code, lines = _consult(app)

    assert code == 1
    for name in ("broker", "storage", "mail"):
        assert lines[name][0] == "error", lines[name]
    assert "CELERY_BROKER_URL" in lines["broker"][1] and "SMTP_URL" in lines["mail"][1]
    assert f"Check that {tmp_path}/file/folder has room" in lines["storage"][1]


def test_an_embedded_broker_that_does_not_run_is_to_be_started(
    tmp_path: Path, sqlite_url: str
) -> None:
    with _installation(tmp_path, sqlite_url, celery_broker_url=None) as app:
        level, advice = _consult(app)[1]["broker"]
    assert level == "error" and "imgcompress serve" in advice
    assert "CELERY_BROKER_URL" not in advice


def test_a_bucket_that_does_not_answer_is_an_error_in_its_settings(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with _installation(
        tmp_path,
        sqlite_url,
        storage_url="s3://no-such-bucket",
        storage_endpoint="http://127.0.0.1:1",
    ) as app:
        level, text = _consult(app)[1]["storage"]
    assert level == "error" and "Check STORAGE_URL, the credentials" in text
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in text


def test_a_mail_server_that_rejects_the_login_is_reported(tmp_path: Path, sqlite_url: str) -> None:
    with MailServer(login=True) as server:
        for password, level in ((PASSWORD, "ok"), ("wr0ng", "error")):
            address = SmtpServer("127.0.0.1", server.port, user=USER, password=password)
            with _installation(tmp_path, sqlite_url, smtp_server=address) as app:
                _, lines = _consult(app)
            assert lines["mail"][0] == level, lines["mail"]
            assert password not in str(lines)


def test_recovery_that_has_stopped_is_reported(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _installation(tmp_path, sqlite_url) as app:
        assert "never" in _consult(app)[1]["recovery"][1]
        with monkeypatch.context() as patch:
            patch.setattr(clock, "ADVANCED", timedelta(seconds=-500))
            note_recovery()
        level, answer = _consult(app)[1]["recovery"]
        assert level == "warning" and "50" in answer and "beat" in answer
        note_recovery()
        assert _consult(app)[1]["recovery"][0] == "ok"


def test_recovery_that_has_stopped_since_the_clock_was_set_back_is_reported(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _installation(tmp_path, sqlite_url) as app:
        with monkeypatch.context() as patch:
            patch.setattr(clock, "ADVANCED", timedelta(hours=3))
            note_recovery()
        level, answer = _consult(app)[1]["recovery"]
        assert level == "warning" and "clock was set back" in answer and "beat" in answer
        note_recovery()
        assert _consult(app)[1]["recovery"][0] == "ok"


def test_recovery_is_recorded_periodically(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _installation(tmp_path, sqlite_url):
        for seconds_ago in (100, 80, 60):
            with monkeypatch.context() as patch:
                patch.setattr(clock, "ADVANCED", timedelta(seconds=-seconds_ago))
                note_recovery()
        age = recovery_age()
        assert age is not None and 60 <= age < 80


@pytest.mark.parametrize(
    "seconds, level", [(0.1, "ok"), (-4.0, "warning"), (60.0, "warning"), (300.0, "error")]
)
def test_clocks_that_differ_are_reported(
    tmp_path: Path, sqlite_url: str, seconds: float, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "clock_difference", lambda: seconds)
    with _installation(tmp_path, sqlite_url) as app:
        answer = _consult(app)[1]["clock"]
    assert answer[0] == level and f"{abs(seconds):.1f} s" in answer[1]


def test_files_that_others_can_read_are_reported(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    with _installation(data_dir, f"sqlite:///{data_dir}/ledger.sqlite3") as app:
        assert data_dir.stat().st_mode & 0o777 == 0o700
        for name in ("ledger.sqlite3", "storage/images/1.jpg", "private/2.jpg", "log"):
            (data_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (data_dir / name).touch(0o644)
        (data_dir / "log").chmod(0o600)
        (data_dir / "private").chmod(0o700)
        assert _consult(app)[1]["privacy"][0] == "ok"
        data_dir.chmod(0o755)
        level, answer = _consult(app)[1]["privacy"]
        assert (level, answer) == (
            "warning",
            f"Other users can read 2 files in {data_dir}, such as"
            f" {data_dir}/ledger.sqlite3: chmod -R go= '{data_dir}'",
        )
        subprocess.run(answer.rpartition(": ")[2], shell=True, check=True)
        assert _consult(app)[1]["privacy"][0] == "ok"


@pytest.mark.parametrize("free, level", [(10**8, "error"), (10**9, "warning"), (10**11, "ok")])
def test_low_disk_space_is_reported(
    tmp_path: Path, sqlite_url: str, free: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    with _installation(tmp_path, sqlite_url) as app:
        assert _consult(app)[1]["space"][0] == level


@pytest.mark.parametrize(
    "missing, enabled, level, expected",
    [
        (None, True, "ok", "by the JPEG engine"),
        ("The JPEG engine is not built.", True, "warning", "run make setup"),
        ("The JPEG engine is not built.", False, "ok", "JPEG_ENGINE is off"),
    ],
)
def test_a_missing_engine_is_reported(
    tmp_path: Path,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    missing: str | None,
    enabled: bool,
    level: str,
    expected: str,
) -> None:
    monkeypatch.setattr(imaging, "missing_engine", lambda: missing)
    with _installation(tmp_path, sqlite_url, jpeg_engine=enabled) as app:
        _, lines = _consult(app)
    assert lines["engine"][0] == level and expected in lines["engine"][1]


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


@pytest.fixture
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have 64 GiB, whatever it has."""
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * 2**18}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)


def _settings(tmp_path: Path, **changed: Any) -> Settings:
    return load_settings(None, data_dir=tmp_path, **changed)


@pytest.mark.usefixtures("large_machine")
def test_the_defaults_contradict_nothing(tmp_path: Path) -> None:
    (finding,) = check_settings(_settings(tmp_path))
    assert finding.level == Level.OK


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize("changed, expected", BROKEN, ids=[expected for _, expected in BROKEN])
def test_a_contradiction_is_reported(
    tmp_path: Path, changed: dict[str, Any], expected: str
) -> None:
    (finding,) = check_settings(_settings(tmp_path, **changed))
    assert finding.level != Level.OK and expected in finding.text


@pytest.mark.usefixtures("large_machine")
def test_every_rule_is_tested() -> None:
    for rule in RULES:
        assert sum(answer in rule.text for _, answer in BROKEN) == 1, rule.text


@pytest.mark.usefixtures("large_machine")
def test_a_limit_that_ends_healthy_tasks_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_settings(_settings(tmp_path, compress_timeout=300.0))
    assert finding.level == Level.ERROR


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize("processes, level", [(100, Level.WARNING), (1, Level.OK)])
def test_images_have_room_in_memory(tmp_path: Path, processes: int, level: Level) -> None:
    (finding,) = check_settings(_settings(tmp_path, worker_processes=processes))
    assert finding.level == level


@pytest.mark.usefixtures("large_machine")
def test_too_little_memory_for_one_process_is_an_error(tmp_path: Path) -> None:
    (finding,) = check_settings(_settings(tmp_path, max_image_pixels=10**10, max_process_memory=0))
    assert finding.level == Level.ERROR and "GiB" in finding.text
