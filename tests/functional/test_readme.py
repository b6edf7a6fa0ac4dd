"""Every example of the README and of docs/api.md does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..origin import PlainOrigin
from tests.support.photos import sample
from tests.support.service import ROOT, Service

README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = [
    block
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", README + API, re.M | re.S)
    if not language
]
COMMAND = ".venv/bin/imgcompress "
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SERVICE, SHOP = "http://127.0.0.1:5000", "https://shop.example.com"
PHOTOS = {
    "/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg")),
    "/coffee.png": (200, "image/png", sample("coffee.png")),
}


def transcripts(program: str) -> Iterator[tuple[str, str]]:
    """Yield the command lines that start with a program, each with what follows it."""
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, answer = part.partition("\n")
            if command.startswith(program):
                yield command, answer


def commands(program: str) -> list[str]:
    """Return the commands of a program in blocks of plain commands, without their comments."""
    lines = [line for block in BLOCKS for line in block.removeprefix("$ ").splitlines()]
    return [
        line.partition("  #")[0].strip()
        for line in lines
        if line.removeprefix("$ ").startswith(program)
    ]


class TestTheFirstRequest:
    @pytest.fixture
    def origin(self) -> Iterator[PlainOrigin]:
        with PlainOrigin(PHOTOS) as origin:
            yield origin

    def test_every_curl_prints_what_is_shown(
        self, embedded_service: Service, origin: PlainOrigin, tmp_path: Path
    ) -> None:
        ((_, table),) = transcripts("cat products.csv")
        shop = origin.url("")
        (tmp_path / "products.csv").write_text(table.replace(SHOP, shop), encoding="utf-8")
        curls = list(transcripts("curl"))
        assert len(curls) >= 3
        request_id = ""
        for command, answer in curls:
            if request_id:
                embedded_service.finished(request_id)
            actual = run(
                UUID.sub(request_id, command).replace(SERVICE, embedded_service.url), tmp_path
            )
            request_id = request_id or UUID.findall(actual)[0]
            compare(answer, actual.replace(embedded_service.url, SERVICE).replace(shop, SHOP))


def run(command: str, folder: Path) -> str:
    """Run a command line of curl; return its output."""
    done = subprocess.run(
        [*shlex.split(command), "--silent", "--show-error"],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def compare(output: str, actual: str) -> None:
    """Find all that the README shows, piece by piece between its ellipses, in their order."""
    rest = alike(actual)
    for piece in filter(None, map(alike, output.split("…"))):
        before, found, rest = rest.partition(piece)
        assert found, f"{piece}\nis not in\n{before}"


def alike(text: str) -> str:
    """Leave out what differs from run to run, and how the README wraps its lines."""
    text = re.sub(r"\s", "", UUID.sub("<id>", re.sub(r"\s*\n\s*", "", text)))
    text = text.replace('"host":"127.0.0.1"', '"host":"shop.example.com"')
    # How small an image becomes may differ with the version of the codec.
    return re.sub(r'(?<="output_bytes":)\d+', "<bytes>", text)


@pytest.mark.parametrize(
    "command", sorted({*commands("make"), *re.findall(r"`(make\s[^`]*)`", README)})
)
def test_every_make_target_is_there(command: str) -> None:
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_for_keys_work(embedded_service: Service) -> None:
    for command in commands(COMMAND + "keys"):
        subprocess.run(
            [sys.executable, "-m", "imgcompress", *shlex.split(command.removeprefix(COMMAND))],
            cwd=ROOT,
            env=embedded_service.environment,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
