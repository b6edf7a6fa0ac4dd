"""What the ready files in `deploy/` say: their commands, and what the image is made of."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.support.service import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
INSTALLED = "/opt/imgcompress"


def readme_commands() -> list[str]:
    """Return the commands for production of docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    return [
        line.partition("  #")[0].strip()
        for line in text.splitlines()
        if line.startswith(("python -m imgcompress db", "gunicorn", "celery"))
    ]


def procfile_commands() -> list[str]:
    """Return the commands of the Procfile."""
    lines = (DEPLOY / "Procfile").read_text(encoding="utf-8").splitlines()
    return [line.partition(": ")[2] for line in lines]


def compose() -> dict[str, Any]:
    """Return the compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def compose_services() -> dict[str, dict[str, Any]]:
    """Return the services that run our image."""
    return {
        name: service
        for name, service in compose()["services"].items()
        if service["image"] == "imgcompress"
    }


def compose_commands() -> list[str]:
    """Return the commands of the services that run our image."""
    return [service["command"] for service in compose_services().values()]


def systemd_commands() -> list[str]:
    """Return the commands of the units, as they are without the folder of the installation."""
    return [
        command.removeprefix(f"{INSTALLED}/.venv/bin/")
        for unit in UNITS
        for command in re.findall(r"^ExecStart=(.*)$", unit.read_text(encoding="utf-8"), re.M)
    ]


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with its arguments."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def image_command() -> list[str]:
    """Return the command that the image runs by itself."""
    words: list[str] = json.loads(dict(dockerfile())["CMD"])
    return words


def image_health_check() -> list[str]:
    """Return the command that checks whether a container is well."""
    words: list[str] = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD ")[2])
    return words


def image_environment() -> dict[str, str]:
    """Return the settings that the image has by itself."""
    names = dict(pair.split("=", 1) for pair in dict(dockerfile())["ENV"].split())
    return {name: value for name, value in names.items() if name != "PATH"}


def copy_as_the_image_does(folder: Path) -> None:
    """Copy into a folder what the Dockerfile copies from the project, and nothing else."""
    stages = [place for place, (name, _) in enumerate(dockerfile()) if name == "FROM"]
    for name, arguments in dockerfile()[stages[-1] :]:
        if name != "COPY" or arguments.startswith("--from"):
            continue
        *sources, target = arguments.split()
        for source in sources:
            place = (
                folder / target / source.split("/")[-1]
                if target.endswith("/")
                else (folder / target)
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
