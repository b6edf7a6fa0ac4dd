"""`imgcompress mcp` as a process, asked by the client of the official SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from flask import Flask
from mcp import Client, StdioServerParameters

from ..conftest import MakeApp
from tests.support.served import served
from tests.support.work import process

ROOT = Path(__file__).parents[3]
CATALOGUE = (
    "S. No.,Product Name,Input Image Urls\n1,Cup,https://shop.test/1.jpg\n"
    "2,Lamp,https://shop.test/2.jpg\n"
)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return the application, whose broker is away."""
    return make_app(celery_broker_url="redis://127.0.0.1:1/0")


def test_a_catalogue_is_submitted_followed_explained_and_downloaded(
    app: Flask, tmp_path: Path
) -> None:
    folder = tmp_path / "catalogues"
    folder.mkdir()
    (folder / "products.csv").write_text(CATALOGUE)

    async def talk(url: str) -> None:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "imgcompress", "mcp", "--server", url, "--folder", str(folder)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        async with Client(server) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert tools == {"submit_catalogue", "job_status", "explain_failures", "download"}

            async def ask(name: str, **arguments: Any) -> Any:
                result = await client.call_tool(name, arguments)
                text = result.content[0].text
                if result.is_error:
                    return text
                try:
                    return json.loads(text)
                except ValueError:
                    return text

            job = await ask(
                "submit_catalogue", path="products.csv", format="webp", output_columns="score"
            )
            request_id = job["request_id"]
            assert job["total_images"] == 2
            assert (await ask("job_status", request_id=request_id))["status"] == "PENDING"
            process(app, request_id, fails={1})
            ended = await ask("job_status", request_id=request_id, wait_seconds=5)
            assert (ended["status"], ended["failed_images"]) == ("COMPLETED", 1)
            failures = await ask("explain_failures", request_id=request_id)
            (reason,) = failures["reasons"]
            assert reason["code"] == "source_status" and reason["retry_may_help"]
            assert "open the URL in a browser" in reason["what_to_do"]
            (example,) = failures["examples"]
            assert (example["row"], example["product"]) == (3, "Lamp")
            await ask("download", request_id=request_id, path="out.csv")
            header = (folder / "out.csv").read_text().splitlines()[0]
            assert "Output Image Urls" in header and header.endswith(",Score")

            again = await ask("download", request_id=request_id, path="out.csv")
            assert "already" in again
            for path in ("../ledger.sqlite3", "/etc/passwd"):
                assert "outside" in await ask("submit_catalogue", path=path)
                assert "outside" in await ask("download", request_id=request_id, path=path)
            unknown = await ask("job_status", request_id="c1a7e3f0-5a0f-4a8e-9a57-2f5d1c0b7e11")
            assert "no job" in unknown
            assert "No such file" in await ask("submit_catalogue", path="missing.csv")

    with served(app) as url:
        anyio.run(talk, url)


def test_without_the_extra_the_error_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from imgcompress.__main__ import command; command(['mcp'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 2 and "pip install 'imgcompress[mcp]'" in done.stderr
