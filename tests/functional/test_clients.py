"""Clients that others' generators make of the OpenAPI document follow a job from end to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..origin import PlainOrigin
from tests.support.photos import sample
from tests.support.service import ROOT, Service

CLIENTS = ROOT / "tests" / "clients"
BIN = Path(sys.executable).parent
Done = subprocess.CompletedProcess[str]
# Runs a program with the address of the service and a CSV.
Program = Callable[[str, str], Done]


@pytest.fixture(scope="module")
def document(embedded_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the document that the service gives."""
    file = tmp_path_factory.mktemp("document") / "openapi.json"
    file.write_bytes(embedded_service.get("/openapi.json").content)
    return file


@pytest.fixture(scope="module")
def python_program(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Generate the client in Python; return its program, whose types are checked."""
    folder = tmp_path_factory.mktemp("python")
    program = CLIENTS / "python" / "program.py"
    # The generator formats its code with ruff, which it looks for on the path.
    path = os.environ | {
        "PYTHONPATH": str(folder),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    _run(
        [
            BIN / "openapi-python-client",
            "generate",
            "--path",
            document,
            "--meta",
            "none",
            "--output-path",
            folder / "imgcompress_client",
            "--fail-on-warning",
            "--config",
            CLIENTS / "python" / "generator.yaml",
        ],
        folder,
        path,
    )
    _run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file",
            os.devnull,
            "--follow-imports",
            "silent",
            program,
        ],
        folder,
        path,
    )
    return lambda url, csv: _start([sys.executable, program, url, csv], folder, path)


@pytest.fixture(scope="module")
def typescript_program(document: Path, node_folder: Path) -> Program:
    """Generate the client in TypeScript; return its program, built by the strict compiler."""
    folder = node_folder / "typescript"
    shutil.copytree(CLIENTS / "typescript", folder)
    (folder / "package.json").write_text('{"type": "commonjs"}')
    commands = node_folder / "node_modules" / ".bin"
    _run(
        [
            commands / "openapi-ts",
            "--input",
            document,
            "--output",
            folder / "client",
            "--no-log-file",
        ],
        folder,
    )
    _run([commands / "tsc", "--project", folder], folder)
    return lambda url, csv: _start(["node", folder / "built" / "program.js", url, csv], folder)


@pytest.fixture(params=["python", "typescript"])
def program(request: pytest.FixtureRequest) -> Program:
    """Return the program in each of the languages."""
    chosen: Program = request.getfixturevalue(f"{request.param}_program")
    return chosen


@pytest.fixture
def csv() -> Iterator[str]:
    """Return a CSV of one image that is there, and one that is not."""
    with PlainOrigin({"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}) as origin:
        yield (
            "S. No.,Product Name,Input Image Urls\n"
            f"1,Rocket,{origin.url('/rocket.jpg')}\n2,Nothing,{origin.url('/nothing.jpg')}\n"
        )


def test_a_generated_client_follows_a_job_to_its_end(
    embedded_service: Service, program: Program, csv: str
) -> None:
    done = program(embedded_service.url, csv)
    assert done.returncode == 0, done.stdout
    output = json.loads(done.stdout)
    assert (output["status"], output["failures"]) == ("COMPLETED", [["source_status", 1]])
    names = ("input_url", "output_url", "output_bytes", "output_format")
    assert output["images"] == [
        {name: image[name] for name in names} | {"error": image["error"] and image["error"]["code"]}
        for image in embedded_service.details(output["request_id"])
    ]
    assert [image["output_format"] for image in output["images"]] == ["webp", None]


def test_a_generated_client_knows_a_problem(embedded_service: Service, program: Program) -> None:
    done = program(embedded_service.url, "Name,Colour\nRocket,white\n")
    assert (done.returncode, done.stdout.strip()) == (1, "400 invalid_upload")


def _start(
    command: list[str | Path], folder: Path, environment: dict[str, str] | None = None
) -> Done:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=180,
    )


def _run(
    command: list[str | Path], folder: Path, environment: dict[str, str] | None = None
) -> None:
    done = _start(command, folder, environment)
    assert done.returncode == 0, done.stdout
