"""Clients that send or take bytes slowly: they hold up nobody, and are cut off in the end."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from tests.support.service import ROOT, Service, free_port, wait_until

SLOW_HEADS, SLOW_BODIES, SLOW_READERS = 80, 80, 40
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Filler: "
BODY = (
    b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
)
LARGE_ANSWER = (
    b"GET /docs/static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
)
# What is promised, in seconds.
PROMISED = 1.0


class Clients:
    """Open connections that send one byte now and then, and read nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []
        self._dripping: list[socket.socket] = []
        self._ended = Event()
        self._thread = Thread(target=self._drip, daemon=True)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)
        for client in self.sockets:
            client.close()

    def open(self, number: int, begin: bytes, *, drips: bool) -> None:
        """Open a number of connections that begin with these bytes."""
        for _ in range(number):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", self.port))
            client.sendall(begin)
            self.sockets.append(client)
            if drips:
                self._dripping.append(client)

    def _drip(self) -> None:
        while not self._ended.wait(0.2):
            for client in list(self._dripping):
                with suppress(OSError):
                    client.send(b"x")


def _seconds_to_answer(url: str) -> float:
    began = time.monotonic()
    assert requests.get(f"{url}/healthz", timeout=30).ok
    return time.monotonic() - began


def test_health_is_answered_within_a_second_beside_200_slow_clients(
    embedded_service: Service,
) -> None:
    with Clients(embedded_service.port) as clients:
        clients.open(SLOW_HEADS, HEAD, drips=True)
        clients.open(SLOW_BODIES, BODY, drips=True)
        clients.open(SLOW_READERS, LARGE_ANSWER, drips=False)
        assert len(clients.sockets) == 200

        answers = [_seconds_to_answer(embedded_service.url) for _ in range(9)]
        assert statistics.median(answers) < PROMISED, answers
        assert embedded_service.get("/job").ok


HURRIED = """
from imgcompress import gunicorn_worker
gunicorn_worker.HEAD_SECONDS = gunicorn_worker.READ_SECONDS = 1.0
worker_class = gunicorn_worker.PatientWorker
threads = 4
control_socket_disable = True
"""
SMALL_APP = """
def app(environ, start_response):
    try:
        size = len(environ["wsgi.input"].read())
    except OSError as error:
        size = -1
    start_response("200 OK", [("X-Size", str(size)), ("Content-Length", "0")])
    return []
"""


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[int]:
    """Return the port of a server with four threads that waits for a client for a second."""
    (tmp_path / "gunicorn.conf.py").write_text(HURRIED)
    (tmp_path / "small.py").write_text(SMALL_APP)
    port = free_port()
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("wb"))
        server = stack.enter_context(
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "gunicorn",
                    "-c",
                    str(tmp_path / "gunicorn.conf.py"),
                    "-b",
                    f"127.0.0.1:{port}",
                    "small:app",
                ],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        )
        stack.callback(server.terminate)
        wait_until(lambda: server.poll() is not None or _answers(port), 120)
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield port


def _answers(port: int) -> bool:
    try:
        return (
            requests.post(f"http://127.0.0.1:{port}/", data=b"abc", timeout=30).headers["X-Size"]
            == "3"
        )
    except requests.ConnectionError:
        return False


def test_stalled_requests_time_out(hurried: int) -> None:
    with Clients(hurried) as clients:
        clients.open(4, HEAD, drips=True)
        clients.open(4, BODY, drips=True)
        # All threads are taken, twice, and are free again when their clients' time is up.
        answer = requests.post(f"http://127.0.0.1:{hurried}/", data=bytes(200_000), timeout=60)
        assert answer.headers["X-Size"] == "200000"
        for client in clients.sockets[:4]:
            assert client.recv(1024).split(b" ")[1:2] in ([], [b"400"])
