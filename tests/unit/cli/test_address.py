from __future__ import annotations

import socket

import click
import pytest

from imgcompress.cli.local import answers, check_port, free_port, local_url


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
