"""The `imgcompress` command: its help, its commands, and how errors end it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from flask.cli import ScriptInfo

from imgcompress import create_app
from imgcompress.__main__ import MODULES, SECTIONS, command
from imgcompress.config import load_settings


@pytest.fixture
def run(tmp_path: Path) -> object:
    """Return a function that runs the command in an installation without a database."""
    settings = load_settings(None, data_dir=tmp_path)

    def run(*arguments: str) -> Result:
        script = ScriptInfo(create_app=lambda: create_app(settings))
        return CliRunner().invoke(command, arguments, obj=script)

    return run


def test_the_help_shows_every_command_by_section() -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    assert [shown.index(f"{title}:") for title in SECTIONS] == sorted(
        shown.index(f"{title}:") for title in SECTIONS
    )
    for name in MODULES:
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("name", MODULES)
def test_every_command_has_a_help(name: str) -> None:
    found = command.get_command(click.Context(command), name)
    assert found is not None and found.name == name
    assert CliRunner().invoke(command, [name, "--help"]).exit_code == 0


def test_an_unknown_command_is_a_wrong_use() -> None:
    result = CliRunner().invoke(command, ["shrink"])
    assert result.exit_code == 2 and "shrink" in result.output


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], ["flask", "sqlalchemy", "requests", "rich"]),
        (["status", "--help"], ["flask", "sqlalchemy", "imgcompress.csvfile", "rich"]),
        (["compress", "--help"], ["flask", "sqlalchemy", "celery", "alembic", "PIL"]),
    ],
)
def test_a_command_loads_only_what_it_needs(arguments: list[str], unneeded: list[str]) -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom imgcompress.__main__ import command\n"
        f"assert CliRunner().invoke(command, {arguments}).exit_code == 0\n"
        f"print([name for name in {unneeded} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert done.stdout == "[]\n", done.stderr


def test_an_empty_database_is_named_with_the_command_that_fills_it(run) -> None:
    rejected = run("keys", "create", "shop")
    assert rejected.exit_code == 1 and "imgcompress db upgrade" in rejected.output
    assert "database empty" in run("db", "current").output
    upgraded = run("db", "upgrade")
    assert upgraded.exit_code == 0 and "the newest" in upgraded.output
    assert run("keys", "create", "shop").exit_code == 0


def test_a_database_file_that_cannot_be_used_is_named(run, tmp_path: Path) -> None:
    (tmp_path / "imgcompress.sqlite3").mkdir()
    for name in ("upgrade", "current"):
        rejected = run("db", name)
        assert rejected.exit_code == 1 and "unable to open database file" in rejected.output
        assert f"Check that the disk of {tmp_path}/imgcompress.sqlite3 has room" in rejected.output
        assert "DATABASE_URL" not in rejected.output


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imgcompress", "keys", "list"],
        env={"PORT": "many", "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 1 and "PORT" in done.stderr and "Traceback" not in done.stderr
