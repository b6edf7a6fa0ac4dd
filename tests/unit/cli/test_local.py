from __future__ import annotations

import os
import socket
from pathlib import Path
from threading import Timer

import click
import pytest
from flask import Flask

from imgcompress.cli.local import (
    answers,
    check_port,
    free_port,
    local_url,
    lock_installation,
    url_of_holder,
)
from imgcompress.cli.serve import seconds_for_holder

from tests.support.served import served


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5000"),
        ("0.0.0.0", "http://127.0.0.1:5000"),
        ("", "http://127.0.0.1:5000"),
        ("::", "http://[::1]:5000"),
        ("fd00::7", "http://[fd00::7]:5000"),
        ("images.example.com", "http://images.example.com:5000"),
    ],
)
def test_the_url_leads_to_the_host(host: str, url: str) -> None:
    assert local_url(host, 5000) == url


def test_a_free_port_is_accepted() -> None:
    check_port("127.0.0.1", free_port())


def test_a_taken_port_is_reported_with_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(click.ClickException, match=f"Port {port} .* is in use") as raised:
            check_port("127.0.0.1", port)

    assert f"make run PORT={port + 1 if port < 65535 else port - 1}" in raised.value.message


def test_a_port_taken_on_every_interface_is_taken_on_one() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        with pytest.raises(click.ClickException, match="is in use"):
            check_port("127.0.0.1", taken.getsockname()[1])


def test_a_host_of_another_machine_is_reported() -> None:
    with pytest.raises(click.ClickException, match="Cannot listen on HOST=192.0.2.1 "):
        check_port("192.0.2.1", 5000)


def test_nothing_answers_on_a_free_port() -> None:
    assert not answers(local_url("127.0.0.1", free_port()))


def test_a_second_holder_is_given_the_first_ones_process(tmp_path: Path) -> None:
    with lock_installation(tmp_path / "var", "http://127.0.0.1:5000"):
        with pytest.raises(click.ClickException) as raised:
            lock_installation(tmp_path / "var", "http://127.0.0.1:5001")

    assert f"pid {os.getpid()}, http://127.0.0.1:5000" in raised.value.message


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    lock_installation(tmp_path, "http://127.0.0.1:5000").close()

    with lock_installation(tmp_path, "http://127.0.0.1:5001"):
        found = (tmp_path / "serve.lock").read_text(encoding="utf-8")
    assert found == f"pid {os.getpid()}, http://127.0.0.1:5001\n"


def test_a_holder_that_is_stopping_is_waited_for(tmp_path: Path) -> None:
    first = lock_installation(tmp_path, "http://127.0.0.1:5000")
    Timer(0.3, first.close).start()
    lock_installation(tmp_path, "http://127.0.0.1:5000", patience=30.0).close()


def test_only_a_service_that_is_stopping_is_waited_for(tmp_path: Path) -> None:
    assert seconds_for_holder(tmp_path) == 0
    with served(Flask("other")) as url, lock_installation(tmp_path, url):
        assert seconds_for_holder(tmp_path) > 0  # It does not say that it is healthy.
    healthy = Flask("healthy")
    healthy.add_url_rule("/healthz", view_func=lambda: "ok")
    with served(healthy) as url, lock_installation(tmp_path, url):
        assert seconds_for_holder(tmp_path) == 0
    with lock_installation(tmp_path, f"http://127.0.0.1:{free_port()}"):
        assert seconds_for_holder(tmp_path) > 0


def test_the_url_of_the_holder_is_known_to_others(tmp_path: Path) -> None:
    assert url_of_holder(tmp_path) is None
    with lock_installation(tmp_path, "http://127.0.0.1:5000"):
        assert url_of_holder(tmp_path) == "http://127.0.0.1:5000"
    with lock_installation(tmp_path, "broker at /tmp/socket"):
        assert url_of_holder(tmp_path) is None


@pytest.mark.parametrize("place", ["file/var", "file"])
def test_a_folder_that_cannot_be_used_is_named_by_its_setting(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(click.ClickException) as caught:
        lock_installation(tmp_path / place, "http://127.0.0.1:5000")
    assert f"DATA_DIR={tmp_path / place} cannot be used: " in caught.value.message
    assert "Set DATA_DIR to a folder" in caught.value.message


def test_installations_do_not_hinder_each_other(tmp_path: Path) -> None:
    with lock_installation(tmp_path / "a", "a"), lock_installation(tmp_path / "b", "b"):
        assert (tmp_path / "b" / "serve.lock").exists()
