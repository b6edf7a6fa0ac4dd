"""What each pool process of a worker begins with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
START = """if True:
    import resource
    from celery.signals import worker_process_init
    from wsgi import celery_app

    worker_process_init.send(sender=None)
    print(resource.getrlimit(resource.RLIMIT_DATA)[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts so")
@pytest.mark.parametrize("most, limited", [("1000000000", True), ("0", False)])
def test_a_process_begins_with_its_ceiling(tmp_path: Path, most: str, limited: bool) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path), "MAX_PROCESS_MEMORY": most}
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=ROOT, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    limit = int(done.stdout)
    assert (1_000_000_000 < limit < 3_000_000_000) if limited else limit == -1
