"""The whole service as real processes, driven over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 180
JOB_SECONDS = 120
FINAL = {"COMPLETED", "FAILED", "CANCELLED"}


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """One installation under `imgcompress serve`, with a data folder and a port of its own."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        # The checkout whose code runs.
        self.root = ROOT
        self.command = [sys.executable, "-m", "imgcompress", "serve"]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = data_dir.parent / f"{data_dir.name}.log"
        self.environment = (
            _clean_environment()
            | {
                "DATA_DIR": str(data_dir),
                "PORT": str(self.port),
                "FLASK_APP": "wsgi.py",
                "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8",
                "ALLOWED_PORTS": "1024-65535",
                "WORKER_PROCESSES": "2",
                "RECOVERY_INTERVAL": "1",
            }
            | settings
        )
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the supervisor and wait until the web server answers."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.root,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_until(self.answers, START_SECONDS, lambda: self.log)

    def stop(self) -> None:
        """Stop the supervisor as Ctrl-C does, and wait for its end."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=180)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.process = None

    def answers(self) -> bool:
        """Return whether the web server answers."""
        assert self.process is not None and self.process.poll() is None, self.log
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    @property
    def log(self) -> str:
        """Return what the processes have logged."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def upload(self, csv: bytes, **fields: str) -> requests.Response:
        """Upload a CSV."""
        return requests.post(
            f"{self.url}/upload", files={"file": ("products.csv", csv)}, data=fields, timeout=30
        )

    def submit(self, csv: bytes, **fields: str) -> str:
        """Upload a CSV that is accepted; return its request id."""
        answer = self.upload(csv, **fields)
        assert answer.status_code == 202, answer.text
        request_id: str = answer.json()["request_id"]
        return request_id

    def upload_file(self, name: str, content: bytes, **fields: str) -> dict[str, Any]:
        """Upload a file of any kind that is accepted; return the answer."""
        answer = requests.post(
            f"{self.url}/upload", files={"file": (name, content)}, data=fields, timeout=30
        )
        assert answer.ok, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """Get a path of the service."""
        return requests.get(f"{self.url}{path}", params=parameters, timeout=30)

    def status(self, request_id: str) -> dict[str, Any]:
        """Return the job's status."""
        answer = self.get(f"/job/status/{request_id}")
        assert answer.ok, answer.text
        status: dict[str, Any] = answer.json()
        return status

    def finished(self, request_id: str, seconds: float = JOB_SECONDS) -> dict[str, Any]:
        """Wait until the job has ended; return its status."""
        wait_until(lambda: self.status(request_id)["status"] in FINAL, seconds, lambda: self.log)
        return self.status(request_id)

    def details(self, request_id: str) -> list[dict[str, Any]]:
        """Return all images of the job."""
        answer = self.get(f"/job/details/{request_id}", per_page=1000)
        assert answer.ok, answer.text
        images: list[dict[str, Any]] = answer.json()["images"]
        return images


def wait_until(condition: Any, seconds: float, output: Any = lambda: "") -> None:
    """Wait until the condition holds; fail, with what `output` returns, when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s\n{output()[-5000:]}"
        time.sleep(0.1)


def _clean_environment() -> dict[str, str]:
    """Return the environment without any setting of the service."""
    kept: Mapping[str, str] = os.environ
    names = {
        line.lstrip("# ").partition("=")[0]
        for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    }
    return {name: value for name, value in kept.items() if name not in names}
