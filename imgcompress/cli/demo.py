"""`imgcompress demo`: run the whole service on a sample catalogue, show the result, and end."""

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
from urllib.parse import urlsplit

import click
import requests
from flask.cli import with_appcontext

from ..extensions import current_settings
from ..shipped import SAMPLE_CATALOGUE, SAMPLES
from .local import embedded_service, lock_installation

JSON = dict[str, Any]

FINAL = {"COMPLETED", "FAILED", "CANCELLED"}
POLL_SECONDS = 0.3
JOB_SECONDS = 300.0


class Client:
    """A user of the service at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # Requests to this machine bypass proxies.

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
        done = subprocess.run(
            self.upload_command(csv),
            env=os.environ | {"NO_PROXY": "*"},
            capture_output=True,
            text=True,
        )
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


ROW = "  {:<31.31}  {:<21.21}  {:>8}  {:>8}  {:>6}  {}"


def show_images(images: list[JSON]) -> None:
    """Show one line for each image."""
    click.secho(ROW.format("Product", "Image", "Before", "After", "Saved", "Outcome"), bold=True)
    for image in images:
        click.echo(_line(image))


def show_totals(status: JSON) -> None:
    """Show how many images there were, and what was saved."""
    before, after = status["input_bytes"], status["output_bytes"]
    failed = status["failed_images"]
    click.secho(
        f"  {status['total_images']} images: {size(before)} before, {size(after)} after,"
        f" {saved(before, after)} saved" + (f"; {failed} failed" if failed else ""),
        bold=True,
        fg="red" if failed else "green",
    )


def size(count: int) -> str:
    """Return a human-readable number of bytes: kB and MB are powers of ten."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def saved(before: int, after: int) -> str:
    """Return the share of the bytes that was saved, in percent."""
    return f"{100 * (before - after) / before:.1f} %" if before else "-"


def _line(image: JSON) -> str:
    name = image["product_name"] or ""
    file = urlsplit(image["input_url"]).path.rpartition("/")[2]
    if image["status"] != "COMPLETED":
        code = (image["error"] or {}).get("code", image["status"])
        return ROW.format(name, file, "-", "-", "-", click.style(code, fg="red"))
    before, after = image["input_bytes"], image["output_bytes"]
    return ROW.format(name, file, size(before), size(after), saved(before, after), image["outcome"])


@click.command("demo")
@with_appcontext
def demo() -> None:
    """Compress some sample photos as a user would.

    Everything happens on this machine, in a separate installation under DATA_DIR.
    """
    folder = _fresh(current_settings().data_dir / "demo")
    _heading("Starting the service", f"data in {_short(folder)}, log in service.log there")
    with embedded_service(folder) as url:
        click.echo(f"  running at {url}")
        status = _process(Client(url), folder)
    if status["status"] != "COMPLETED" or status["failed_images"]:
        raise click.ClickException(
            "Not every image was compressed; see the table above for the reasons."
        )


def _process(client: Client, folder: Path) -> dict[str, Any]:
    """Upload the catalogue, wait for its end, and show the result; return the last status."""
    request_id = _upload(client)
    status = _follow(client, request_id)
    _heading("Result")
    show_images(client.images(request_id))
    click.echo()
    show_totals(status)
    _heading("Status", f"$ curl {client.url}/job/status/{request_id}")
    _show_json(status)
    _heading("Files")
    output = folder / "products-compressed.csv"
    client.download(request_id, output)
    click.echo(f"  output CSV  {_short(output)}\n  images      {_short(folder / 'storage')}")
    return status


def _upload(client: Client) -> str:
    csv = Path(_short(SAMPLES / SAMPLE_CATALOGUE))
    _heading("The catalogue", str(csv))
    click.echo("  " + csv.read_text(encoding="utf-8").strip().replace("\n", "\n  "))
    _heading("Upload", shell_line(client.upload_command(csv)))
    answer = client.upload(csv)
    _show_json(answer)
    return str(answer["request_id"])


def _follow(client: Client, request_id: str) -> dict[str, Any]:
    """Show the job's progress; return its last status."""
    _heading("Progress")
    status: dict[str, Any] = {}
    with click.progressbar(length=100, label="  Compressing", width=50) as bar:
        for status in client.poll(request_id):
            bar.update(int(status["completion_percentage"]) - bar.pos)
    return status


def _fresh(folder: Path) -> Path:
    """Return the folder, emptied. Raise ClickException when another demo runs in it."""
    with lock_installation(folder, "demo"):
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _short(path: Path) -> str:
    """Return the path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _heading(title: str, remark: str = "") -> None:
    click.echo(f"\n{click.style(title, bold=True, fg='cyan')}" + (f"  {remark}" if remark else ""))


def _show_json(value: dict[str, Any]) -> None:
    click.echo("  " + json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  "))
