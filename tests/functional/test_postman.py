"""The Postman collection is what the interface is now, and runs against the service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..origin import PlainOrigin
from tests.support.photos import sample
from tests.support.service import ROOT, Service

COLLECTION = ROOT / "docs" / "postman_collection.json"


@pytest.fixture
def executions(embedded_service: Service, node_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """Run the collection by newman; return the last response to each of its requests.

    A job that it did not make stands beside it, and has to survive.
    """
    report = tmp_path / "report.json"
    with PlainOrigin({"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}) as origin:
        (tmp_path / "products.csv").write_text(
            f"S. No.,Product Name,Input Image Urls\n1,Rocket,{origin.url('/rocket.jpg')}\n"
        )
        other = embedded_service.submit((tmp_path / "products.csv").read_bytes())
        done = subprocess.run(
            [
                str(node_folder / "node_modules" / ".bin" / "newman"),
                "run",
                str(COLLECTION),
                "--env-var",
                f"baseUrl={embedded_service.url}",
                "--working-dir",
                str(tmp_path),
                "--reporters",
                "cli,json",
                "--reporter-json-export",
                str(report),
                "--disable-unicode",
                "--color",
                "off",
            ],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout
    assert embedded_service.get(f"/job/status/{other}").status_code == 200
    run = json.loads(report.read_text())["run"]
    return {execution["item"]["name"]: execution["response"] for execution in run["executions"]}


def test_the_collection_is_up_to_date(tmp_path: Path) -> None:
    written = tmp_path / "collection.json"
    subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "postman", "--output", str(written)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert json.loads(written.read_text()) == json.loads(COLLECTION.read_text()), (
        "Run: flask --app wsgi postman"
    )


def test_every_request_is_answered_as_documented(
    embedded_service: Service, executions: dict[str, Any]
) -> None:
    document = embedded_service.get("/openapi.json").json()
    # A feed of the example's address is rejected, so the calls of one feed are skipped.
    assert executions.keys() == {
        call["operationId"]
        for path, methods in document["paths"].items()
        for method, call in methods.items()
        if method != "parameters" and "{feed_id}" not in path
    } - {"deleteJobs"}
    reached = {name: response["code"] for name, response in executions.items()}
    for name, status in {
        "upload": 202,
        "getStatus": 200,
        "getDetails": 200,
        "downloadCsv": 200,
        "downloadArchive": 200,
        "getImage": 200,
    }.items():
        assert reached[name] == status, reached
