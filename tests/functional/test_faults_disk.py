"""A full disk under everything: uploads answer 503, jobs wait, and nothing claims to be done."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..faults.installation import Installation, installation
from ..faults.verdict import catalogue_of, watched_job
from .service import wait_until

DISK = 24 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 24 MB of its own, or skip where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux"):
        pytest.skip("a small file system is mounted on Linux alone")
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)],
                           capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"NOT TESTED: a full disk; it takes the right to mount: {mount.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    """Write until nothing fits any more; return the file."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 16
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return filler


def _answers_503(service: Installation, csv: bytes) -> bool:
    answer = service.upload(csv)
    assert answer.status_code in (202, 503), answer.text
    return answer.status_code == 503


def test_a_job_waits_for_room_on_the_disk(disk: Path) -> None:
    with installation("embedded", disk) as service, \
            watched_job(service, 200, delay=0.5) as job:
        job.wait_for(20)
        filler = _fill(disk)
        assert _answers_503(service, catalogue_of(job.origin, 3))
        time.sleep(3)
        assert service.status(job.request_id)["status"] == "PROCESSING"
        assert job.done() < 200
        filler.unlink()
        wait_until(lambda: not _answers_503(service, catalogue_of(job.origin, 1)), 30)
        assert job.verdict().clean, service.log[-5000:]
