"""The service does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ..mail_server import MailServer
from ..origin import PlainOrigin
from .service import ROOT, Service

# At most as many for each call and phase, the same ones in every run. For a longer search, and for
# other ones: SCHEMATHESIS_EXAMPLES=1000 SCHEMATHESIS_SEED=$RANDOM
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "120")
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
LEAST_CASES = 2000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service of this module's own: its jobs are deleted on the way.

    It sends mail, so that an upload with an address of one is taken.
    """
    with (MailServer() as mail,
          Service(tmp_path_factory.mktemp("openapi") / "var",
                  SMTP_URL=f"smtp://127.0.0.1:{mail.port}",
                  MAIL_FROM="images@shop.test") as service):
        yield service


@pytest.fixture
def catalogue_origin() -> Iterator[PlainOrigin]:
    """Return an origin with one small image."""
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "JPEG", quality=95)
    with PlainOrigin({"/a.jpg": (200, "image/jpeg", file.getvalue())}) as origin:
        yield origin


def test_no_generated_request_finds_a_breach(service: Service, catalogue_origin: PlainOrigin,
                                             tmp_path: Path) -> None:
    document = service.get("/openapi.json").json()
    done = subprocess.run(
        [Path(sys.executable).with_name("st"),
         "--config-file", str(ROOT / "tests" / "schemathesis" / "schemathesis.toml"),
         "run", f"{service.url}/openapi.json", "--checks", "all", "--max-examples", EXAMPLES,
         "--seed", SEED, "--suppress-health-check", "filter_too_much", "--no-color",
         "--output-truncate", "false"],
        cwd=tmp_path, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=3600, env=os.environ | {
            "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.schemathesis.hooks",
            "CATALOGUE_ORIGIN": catalogue_origin.url("")})
    assert done.returncode == 0, done.stdout + service.log[-3000:]
    calls = sum(method != "parameters" for methods in document["paths"].values()
                for method in methods)
    assert _number(r"Selected: (\d+)/", done.stdout) == calls
    assert _number(r"Tested: (\d+)", done.stdout) == calls, done.stdout
    assert _number(r"(\d+) generated", done.stdout) >= LEAST_CASES, done.stdout
    # Without uploads that are accepted no scenario gets beyond its first step.
    links = document["paths"]["/upload"]["post"]["responses"]["202"]["links"]
    assert _number(r"API Links: +(\d+) covered", done.stdout) >= len(links), done.stdout


def _number(pattern: str, told: str) -> int:
    found = re.search(pattern, told)
    assert found, told
    return int(found[1])
