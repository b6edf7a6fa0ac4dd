"""The package, built and installed outside the checkout, is a working service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..origin import PlainOrigin
from tests.support.photos import sample
from tests.support.service import ROOT, Service

SOURCES = ("imgcompress", "migrations", "deploy", "samples", "setup.py", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "_core.*")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an installation without the libraries, which are there already."""
    sources = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, sources)
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    target = tmp_path_factory.mktemp("installed")
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
    subprocess.run(
        [sys.executable, *pip, "--no-build-isolation", "--target", str(target), str(sources)],
        check=True,
        # Warnings about mirrors of packages go there; nothing is fetched.
        stderr=subprocess.DEVNULL,
    )
    return target


class Installed(Service):
    """The service of the installation, with nothing of the checkout."""

    def __init__(self, data_dir: Path, installed: Path) -> None:
        super().__init__(data_dir, PYTHONPATH=str(installed))
        self.root = data_dir.parent
        self.environment.pop("FLASK_APP")
        self.command = [sys.executable, "-m", "imgcompress", "serve"]


def test_the_installed_service_does_a_job(installed: Path, tmp_path: Path) -> None:
    photo = {"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}
    with PlainOrigin(photo) as origin, Installed(tmp_path / "var", installed) as service:
        csv = f"S. No.,Product Name,Input Image Urls\n1,A,{origin.url('/rocket.jpg')}\n"
        job = service.finished(service.submit(csv.encode()))
        assert job["status"] == "COMPLETED"
        for page in ("/", "/docs"):
            files = re.findall(r'(?:href|src)="(/[^"]*\.(?:css|js))"', service.get(page).text)
            assert len(files) >= 2
            assert all(service.get(file).ok for file in files), files


def test_the_command_is_installed_with_what_it_ships(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "bin" / "imgcompress", "db", "upgrade"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed), "DATA_DIR": str(tmp_path)},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0 and "the newest" in done.stdout, done.stderr
    assert (installed / "imgcompress" / "samples" / "rocket.jpg").exists()
