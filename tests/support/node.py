"""The npm packages of tests/node, as its lock file pins them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.service import ROOT

INSTALL_SECONDS = 300


def install_packages(folder: Path) -> None:
    """Install the packages into a folder; skip without node and npm, which CI must have."""
    missing = [command for command in ("node", "npm") if shutil.which(command) is None]
    if missing:
        message = f"NOTHING THAT NEEDS NODE IS TESTED: {' and '.join(missing)} missing"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests" / "node" / name, folder)
    subprocess.run(
        ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"],
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=INSTALL_SECONDS,
    )
