from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from imgcompress.cli.broker import broker_answers, broker_command
from imgcompress.config import Settings, embedded_broker_socket, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, data_dir=tmp_path / "var", celery_broker_url=None)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_only_this_user_can_use_the_socket_of_the_broker(settings: Settings) -> None:
    socket = embedded_broker_socket(settings.data_dir)
    server = subprocess.Popen(broker_command(settings))
    try:
        wait_for(lambda: broker_answers(socket))
        assert socket.stat().st_mode & 0o777 == 0o700
        assert socket.parent.stat().st_mode & 0o777 == 0o700
    finally:
        server.terminate()
        assert server.wait(timeout=10) == 0
    assert not broker_answers(socket)


def test_an_open_folder_is_closed_to_others(settings: Settings) -> None:
    folder = embedded_broker_socket(settings.data_dir).parent
    folder.mkdir(mode=0o755, parents=True)
    broker_command(settings)

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_a_link_is_rejected(settings: Settings, tmp_path: Path) -> None:
    folder = embedded_broker_socket(settings.data_dir).parent
    folder.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(click.ClickException, match="belongs to another user"):
        broker_command(settings)
