"""A backup is restored, and the files move to S3, by the steps of docs/operations.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..origin import PlainOrigin
from tests.support.buckets import Bucket
from tests.support.photos import sample
from tests.support.service import ROOT, Service

STEPS = {
    name: re.sub(r"^ {3}", "", steps, flags=re.M)
    for name, steps in re.findall(
        r"^ *```sh (\w+)\n(.*?)^ *```$",
        (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )
}


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Return an empty folder for a backup."""
    folder = tmp_path / "backup"
    folder.mkdir()
    return folder


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs the sqlite3 command")
def test_a_backup_is_restored_and_moved_to_s3(tmp_path: Path, backup: Path, bucket: Bucket) -> None:
    service = Service(tmp_path / "var")
    photo = {"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}
    with PlainOrigin(photo) as origin, service:
        csv = f"S. No.,Product Name,Input Image Urls\n1,Rocket,{origin.url('/rocket.jpg')}\n"
        request_id = service.submit(csv.encode())
        before = service.finished(request_id), _results(service, request_id)
        _run("backup", service, backup)
    shutil.rmtree(service.data_dir)
    _run("restore", service, backup)
    with service:
        assert (service.status(request_id), _results(service, request_id)) == before

    root = service.data_dir / "storage"
    for path in root.rglob("*"):
        if path.is_file():
            bucket.put(path.relative_to(root).as_posix(), path.read_bytes())
    shutil.rmtree(root)
    service.environment |= bucket.environment
    with service:
        assert _results(service, request_id) == before[1]


def _results(service: Service, request_id: str) -> tuple[str, bytes]:
    """Return the output CSV of a job, and its first image."""
    url = service.details(request_id)[0]["output_url"]
    image = service.get(url.removeprefix(service.url))
    assert image.ok and len(image.content) < len(sample("rocket.jpg")) / 2
    return service.get(f"/job/download/{request_id}").text, image.content


def _run(name: str, service: Service, backup: Path) -> None:
    """Run steps of the document, in a shell that has the command."""
    command = backup.parent / "bin" / "imgcompress"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m imgcompress "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        ["sh", "-e", "-u", "-c", STEPS[name]],
        cwd=ROOT,
        env=service.environment
        | {"BACKUP": str(backup), "PATH": f"{command.parent}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
