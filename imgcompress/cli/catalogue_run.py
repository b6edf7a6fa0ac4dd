"""One catalogue, compressed by a service of its own; the next run continues an interrupted one."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

import click

from ..client import Client, ClientError, Job
from .local import embedded_service, lock_installation
from .options import (
    WORKBOOKS,
    Tolerance,
    check_output,
    delimiter_for,
    end_with,
    explained,
)
from .progress import ImageProgress, show_failures, show_totals
from .wording import in_local_words, output_in_local_words

POLL_SECONDS = 0.5
# A run not continued for this long is deleted, with its compressed images.
FORGOTTEN_SECONDS = 30 * 86_400
IMAGE_URL = re.compile(rb"https?://127\.0\.0\.1:\d+/image/([0-9a-f-]{36})/[A-Za-z0-9._-]+")


def compress_catalogue(
    catalogue: Path,
    output: Path,
    images: Path,
    image_url: str | None,
    fields: dict[str, Any],
    tolerance: Tolerance,
    *,
    fresh: bool,
) -> NoReturn:
    """Compress a catalogue's images into `images`, write the output, and end the command."""
    check_output(output, catalogue)
    _check_folders(output, images)
    folder = _folder_of(catalogue, fields)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    with lock_installation(folder, f"compressing {catalogue}"), explained(in_local_words):
        click.echo("Starting …", err=True)
        with embedded_service(folder / "var") as url, Client(url) as client:
            request_id = _begin(client, catalogue, fields, folder)
            job = _follow(client, request_id)
            names = _save_images(client, job, images, folder / "saved.jsonl")
            _write_output(client, job, output, names, image_url or _path_from(output, images))
    show_totals(job.total_images, job.failed_images, job.input_bytes, job.output_bytes)
    show_failures(job.errors, in_local_words)
    click.echo(f"Output: {output}\nImages: {images}", err=True)
    if job.failed_images:
        click.echo("Run the same command again to retry those that failed.", err=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    end_with(job, tolerance)


def _check_folders(output: Path, images: Path) -> None:
    """Raise UsageError now, and not after an hour, when the results cannot be written."""
    for folder in (output.absolute().parent, images):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"{folder} cannot be created: {error.strerror}.") from error
        if not os.access(folder, os.W_OK):
            raise click.UsageError(f"{folder} is not writable.")


def _folder_of(catalogue: Path, fields: dict[str, Any]) -> Path:
    """Return the folder of a run: that of the same content with the same options."""
    with catalogue.open("rb") as file:
        digest = sha256(json.dumps(fields, sort_keys=True).encode() + b"\0")
        while chunk := file.read(2**20):
            digest.update(chunk)
    runs = _cache() / "runs"
    for old in runs.glob("*"):
        if time.time() - old.stat().st_mtime > FORGOTTEN_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = runs / digest.hexdigest()[:32]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.utime(folder)
    return folder


def _cache() -> Path:
    """Return the user's cache folder."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "imgcompress"
    place = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return Path.home() / place / "imgcompress"


def _begin(client: Client, catalogue: Path, fields: dict[str, Any], folder: Path) -> str:
    """Return the id of the job, which an earlier run may have begun."""
    state = folder / "run.json"
    if state.exists():
        request_id = str(json.loads(state.read_text(encoding="utf-8"))["request_id"])
        try:
            job = client.status(request_id)
            done, total = job.completed_images, job.total_images
            click.echo(f"Continuing: {done:,} of {total:,} images are compressed.", err=True)
            if job.ended and (job.failed_images or job.status == "CANCELLED"):
                client.retry(request_id)
            return request_id
        except ClientError as error:
            if error.code == "nothing_to_retry":
                return request_id
            if error.status != 404:
                raise
    submission = client.submit(catalogue, idempotency_key=folder.name, **fields)
    for warning in submission.warnings:
        click.echo(f"Warning: {in_local_words(warning.message)}", err=True)
    part = state.with_suffix(".part")
    part.write_text(json.dumps({"request_id": submission.request_id}), encoding="utf-8")
    part.replace(state)
    return submission.request_id


def _follow(client: Client, request_id: str) -> Job:
    """Show the progress of the job until it has ended."""
    with ImageProgress() as progress:
        while True:
            job = client.status(request_id)
            done = job.completed_images + job.failed_images
            progress.show(done, job.total_images, job.failed_images)
            if job.ended:
                return job
            time.sleep(POLL_SECONDS)


def _save_images(client: Client, job: Job, images: Path, record: Path) -> dict[str, str]:
    """Save the images that an earlier run has not saved; return their names by their ids.

    A name is that of the source. The second image of that name has its row too.
    """
    names: dict[str, str] = {}
    if record.exists():
        for line in record.read_text(encoding="utf-8").splitlines():
            if line.endswith("}"):  # The last line may have been cut off.
                saved = json.loads(line)
                names[saved["image_id"]] = saved["name"]
    taken = {name.casefold() for name in names.values()}
    with ImageProgress("Saving") as progress, record.open("a", encoding="utf-8") as file:
        for done, image in enumerate(client.results(job.request_id, status="COMPLETED"), start=1):
            image_id, wanted = urlsplit(image.output_url or "").path.split("/")[-2:]
            known = names.get(image_id)
            path = images / known if known else None
            if not (path and path.exists() and path.stat().st_size == image.output_bytes):
                name = known or _free_name(wanted, image.row_number, taken)
                client.save_image(image, images / name)
                taken.add(name.casefold())
                names[image_id] = name
                file.write(json.dumps({"image_id": image_id, "name": name}) + "\n")
                file.flush()
            progress.show(done, job.completed_images)
    return names


def _free_name(wanted: str, row: int, taken: set[str]) -> str:
    """Return a name that no other image has, even where case is ignored."""
    stem, _, ending = wanted.rpartition(".")
    name, number = wanted, 1
    while name.casefold() in taken:
        name = f"{stem}-row{row}.{ending}" if number == 1 else f"{stem}-row{row}-{number}.{ending}"
        number += 1
    return name


def _path_from(output: Path, images: Path) -> str:
    return quote(os.path.relpath(images.absolute(), output.absolute().parent))


def _write_output(
    client: Client, job: Job, output: Path, names: dict[str, str], folder_url: str
) -> None:
    """Write the output with the places where the images are now, and errors for this command."""
    is_workbook = output.suffix.lower() in WORKBOOKS
    folder_url = folder_url.rstrip("/")

    def place(found: re.Match[bytes]) -> bytes:
        name = names.get(found[1].decode())
        if name is None:
            return found[0]
        url = f"{folder_url}/{name}"
        return (escape(url) if is_workbook else url).encode()

    def adapted(part: bytes) -> bytes:
        return output_in_local_words(IMAGE_URL.sub(place, part))

    part = output.with_name(f".{output.name}.part")
    served = output.with_name(f".{output.name}.served")
    try:
        delimiter = delimiter_for(output, job.download_format)
        client.download(job.request_id, served, delimiter=delimiter)
        if is_workbook:
            with ZipFile(served) as book, ZipFile(part, "w", ZIP_DEFLATED) as target_book:
                for entry in book.infolist():
                    content = book.read(entry)
                    is_xml = entry.filename.endswith((".xml", ".rels"))
                    target_book.writestr(entry, adapted(content) if is_xml else content)
        else:
            with served.open("rb") as source, part.open("wb") as target:
                target.writelines(map(adapted, source))
        part.replace(output)
    finally:
        served.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
