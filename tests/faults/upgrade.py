"""An upgrade from an earlier version, with a job at work."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from .installation import installation
from .verdict import Verdict, watched_job
from tests.support.databases import fresh_database
from tests.support.service import ROOT

# The first state that callers could install, 0.1.0.
FIRST = "f3810ce"


def upgrade(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Start a job with the version before, migrate beside it, and end the job with this version."""
    before = _checkout(FIRST, folder / "before")
    with ExitStack() as stack:
        service = stack.enter_context(
            installation(
                "embedded",
                folder,
                code=before,
                DATABASE_URL=stack.enter_context(fresh_database()),
                **settings,
            )
        )
        delay = min(seconds * 2 * int(service.environment.get("FETCH_CONCURRENCY", 16)) / images, 8)
        job = stack.enter_context(watched_job(service, images, delay=delay))
        job.wait_for(images // 4, seconds + 240)
        subprocess.run(
            [sys.executable, "-m", "flask", "db", "upgrade"],
            cwd=ROOT,
            check=True,
            env=service.environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # The version before works with the schema of this one, and takes uploads.
        job.upload_meanwhile(202)
        job.wait_for(images // 2, seconds + 240)
        process = service.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        process.wait(180)
        service.run_code_of(ROOT)
        service.start()
        job.upload_meanwhile(202)
        return job.verdict(seconds + 240)


def _checkout(revision: str, folder: Path) -> Path:
    """Lay out a revision of this project."""
    folder.mkdir()
    archive = subprocess.Popen(["git", "archive", revision], cwd=ROOT, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True)
    if archive.wait():
        raise FileNotFoundError(f"there is no revision {revision} in this repository")
    return folder
