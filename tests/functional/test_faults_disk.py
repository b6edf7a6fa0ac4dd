"""A full disk under everything: uploads answer 503, jobs wait, and nothing claims to be done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..faults.disk import fill, small_disk
from ..faults.installation import Installation, installation
from ..faults.verdict import catalogue_of, watched_job
from tests.support.service import wait_until

DISK = 24 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 24 MB of its own, or skip where it cannot be mounted."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(tmp_path / "disk", DISK))
        except PermissionError as error:
            pytest.skip(f"NOT TESTED: a full disk; {error}")
        yield disk


def _answers_503(service: Installation, csv: bytes) -> bool:
    answer = service.upload(csv)
    assert answer.status_code in (202, 503), answer.text
    return answer.status_code == 503


def test_a_job_waits_for_room_on_the_disk(disk: Path) -> None:
    with installation("embedded", disk) as service, watched_job(service, 200, delay=0.5) as job:
        job.wait_for(20)
        filler = fill(disk)
        assert _answers_503(service, catalogue_of(job.origin, 3))
        time.sleep(3)
        assert service.status(job.request_id)["status"] == "PROCESSING"
        assert job.done() < 200
        filler.unlink()
        wait_until(lambda: not _answers_503(service, catalogue_of(job.origin, 1)), 30)
        assert job.verdict().clean, service.log[-5000:]
