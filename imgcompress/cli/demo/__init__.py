"""`flask demo`: the whole service, a sample catalogue, and what comes of it; then it ends."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from ...extensions import current_settings
from ..lock import lock_installation
from .client import Client, shell_line
from .origin import sample_origin
from .products import write_products
from .report import show_images, show_totals
from .service import demo_service


@click.command("demo")
@with_appcontext
def demo() -> None:
    """Compress some sample photos as a user would.

    Everything happens on this machine, in a separate installation under DATA_DIR.
    """
    folder = _fresh(current_settings().data_dir / "demo")
    with sample_origin() as (origin, port):
        _heading("Starting the service", f"data in {_short(folder)}, log in service.log there")
        with demo_service(folder, port) as url:
            click.echo(f"  running at {url}; the sample photos are at {origin}")
            status = _process(Client(url), folder, origin)
    if status["status"] != "COMPLETED" or status["failed_images"]:
        raise click.ClickException("Not every image was compressed; see the table above for the"
                                   " reasons.")


def _process(client: Client, folder: Path, origin: str) -> dict[str, Any]:
    """Upload the catalogue, wait for its end, show what came of it; return the last status."""
    request_id = _upload(client, folder, origin)
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


def _upload(client: Client, folder: Path, origin: str) -> str:
    csv = Path(_short(folder / "products.csv"))
    write_products(csv, origin)
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
