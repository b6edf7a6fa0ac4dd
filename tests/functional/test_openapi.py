"""The service does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ..origin import PlainOrigin
from tests.support.mail_server import MailServer
from tests.support.service import ROOT, Service

# At most as many for each call and phase, the same ones in every run. For a longer search, and for
# other ones: SCHEMATHESIS_EXAMPLES=1000 SCHEMATHESIS_SEED=$RANDOM
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "120"))
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
LEAST_CASES = 2000

# Takes the service, how many examples, and further options of the command.
Run = Callable[..., str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service of this module's own: its jobs are deleted on the way.

    It sends mail, so that an upload with an address of one is taken.
    """
    with (
        MailServer() as mail,
        Service(
            tmp_path_factory.mktemp("openapi") / "var",
            SMTP_URL=f"smtp://127.0.0.1:{mail.port}",
            MAIL_FROM="images@shop.test",
        ) as service,
    ):
        yield service


@pytest.fixture
def guarded_service(tmp_path: Path) -> Iterator[Service]:
    """Return a service that asks for a key, and counts no calls."""
    with Service(
        tmp_path / "var", REQUIRE_API_KEY="true", UPLOADS_PER_MINUTE="0", READS_PER_MINUTE="0"
    ) as service:
        yield service


@pytest.fixture
def key(guarded_service: Service) -> str:
    """Return a key of the service."""
    made = subprocess.run(
        [sys.executable, "-m", "flask", "keys", "create", "shop"],
        cwd=ROOT,
        env=guarded_service.environment,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=60,
    )
    return made.stdout.strip()


@pytest.fixture
def catalogue_origin() -> Iterator[PlainOrigin]:
    """Return an origin with one small image."""
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "JPEG", quality=95)
    with PlainOrigin({"/a.jpg": (200, "image/jpeg", file.getvalue())}) as origin:
        yield origin


@pytest.fixture
def run(catalogue_origin: PlainOrigin, tmp_path: Path) -> Run:
    """Return a function that runs Schemathesis, and returns what it printed."""

    def run(service: Service, examples: int, *options: str) -> str:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("st"),
                "--config-file",
                str(ROOT / "tests" / "schemathesis" / "schemathesis.toml"),
                "run",
                f"{service.url}/openapi.json",
                "--checks",
                "all",
                "--max-examples",
                str(examples),
                "--seed",
                SEED,
                "--suppress-health-check",
                "filter_too_much",
                "--no-color",
                "--output-truncate",
                "false",
                *options,
            ],
            cwd=tmp_path,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=3600,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.schemathesis.hooks",
                "CATALOGUE_ORIGIN": catalogue_origin.url(""),
            },
        )
        assert done.returncode == 0, done.stdout + service.log[-3000:]
        return done.stdout

    return run


def test_no_generated_request_finds_a_breach(service: Service, run: Run) -> None:
    document = service.get("/openapi.json").json()
    answer = run(service, EXAMPLES)
    assert _number(r"Tested: (\d+)", answer) == len(_calls(document)), answer
    assert _number(r"(\d+) generated", answer) >= LEAST_CASES, answer
    # Without uploads that are accepted no scenario gets beyond its first step. How many links the
    # scenarios of one seed follow depends on the answers, so others go on where they were few.
    links = document["paths"]["/upload"]["post"]["responses"]["202"]["links"]
    for seed in range(int(SEED) + 1, int(SEED) + 6):
        if _number(r"API Links: +(\d+) covered", answer) >= len(links):
            return
        answer = run(service, EXAMPLES, "--phases", "stateful", "--seed", str(seed))
    assert _number(r"API Links: +(\d+) covered", answer) >= len(links), answer


def test_every_call_that_needs_a_key_demands_it(
    guarded_service: Service, key: str, run: Run
) -> None:
    """Schemathesis sends each call with the key, without it, and with a wrong one."""
    answer = run(guarded_service, EXAMPLES // 4, "--header", f"Authorization: Bearer {key}")
    document = guarded_service.get("/openapi.json").json()
    assert _number(r"Tested: (\d+)", answer) == len(_calls(document)), answer


def _calls(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    ]


def _number(pattern: str, output: str) -> int:
    found = re.search(pattern, output)
    assert found, output
    return int(found[1])
