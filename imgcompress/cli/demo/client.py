"""What a user does: upload a CSV with curl, poll the status, look at the images, download."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import requests

JSON = dict[str, Any]

FINAL = {"COMPLETED", "FAILED", "CANCELLED"}
POLL_SECONDS = 0.3
JOB_SECONDS = 300.0


class Client:
    """A user of the service at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # The way to this machine leads through no proxy.

    def upload_command(self, csv: Path) -> list[str]:
        """Return the command that a user types to upload a CSV."""
        return ["curl", "-sS", "-F", f"file=@{csv}", f"{self.url}/upload"]

    def upload(self, csv: Path) -> JSON:
        """Upload a CSV with that command. Raise ClickException when it is not accepted."""
        answer = self._curl(csv) if shutil.which("curl") else self._post(csv)
        if "request_id" not in answer:
            raise click.ClickException(f"The upload was not accepted: {json.dumps(answer)}")
        return answer

    def poll(self, request_id: str) -> Iterator[JSON]:
        """Yield the job's status until it has ended. Raise ClickException when it never does."""
        end = time.monotonic() + JOB_SECONDS
        while True:
            status = self._get(f"/job/status/{request_id}").json()
            yield status
            if status["status"] in FINAL:
                return
            if time.monotonic() > end:
                raise click.ClickException(f"The job did not end within {JOB_SECONDS:.0f} s.")
            time.sleep(POLL_SECONDS)

    def images(self, request_id: str) -> list[JSON]:
        """Return the job's images."""
        answer = self._get(f"/job/details/{request_id}?per_page=100")
        return cast("list[JSON]", answer.json()["images"])

    def download(self, request_id: str, path: Path) -> None:
        """Save the output CSV."""
        path.write_bytes(self._get(f"/job/download/{request_id}").content)

    def _get(self, path: str) -> requests.Response:
        answer = self._session.get(self.url + path, timeout=30)
        if not answer.ok:
            raise click.ClickException(f"GET {path} returned {answer.status_code}: {answer.text}")
        return answer

    def _curl(self, csv: Path) -> JSON:
        done = subprocess.run(self.upload_command(csv), env=os.environ | {"NO_PROXY": "*"},
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise click.ClickException(f"curl failed: {done.stderr.strip()}")
        return _parsed(done.stdout)

    def _post(self, csv: Path) -> JSON:
        click.echo("  (curl is not installed here; Python sends the same request)")
        with csv.open("rb") as file:
            answer = self._session.post(f"{self.url}/upload", files={"file": file}, timeout=30)
        return _parsed(answer.text)


def shell_line(command: list[str]) -> str:
    """Return a command as one would type it."""
    return "$ " + shlex.join(command)


def _parsed(text: str) -> JSON:
    try:
        return cast(JSON, json.loads(text))
    except ValueError as error:
        raise click.ClickException(f"The service did not return JSON: {text[:500]}") from error
