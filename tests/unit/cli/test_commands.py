from __future__ import annotations

from pathlib import Path

import pytest
from click import Command, Context
from flask import Flask

from imgcompress import create_app
from imgcompress.app import COMMANDS, Commands
from imgcompress.config import load_settings


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app(load_settings(None, data_dir=tmp_path))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_under_its_name(app: Flask, name: str) -> None:
    command = app.cli.get_command(Context(app.cli), name)
    assert command is not None and command.name == name and command.get_short_help_str()


def test_the_commands_that_were_there_stay() -> None:
    app, theirs = Flask(__name__), Command("theirs")
    app.cli.add_command(theirs)
    app.cli = Commands(app.name, app.cli.commands)
    listed = app.cli.list_commands(Context(app.cli))
    assert listed == sorted({*COMMANDS, "theirs"})
    assert app.cli.get_command(Context(app.cli), "theirs") is theirs


def test_an_unknown_command_is_an_error(app: Flask) -> None:
    assert app.cli.get_command(Context(app.cli), "compress") is None
