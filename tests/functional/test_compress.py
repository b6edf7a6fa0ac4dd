"""`imgcompress compress` in a terminal: interrupted, continued, and what it writes."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..origin import PlainOrigin
from .terminal import Terminal
from tests.support.photos import sample
from tests.support.service import ROOT

NAMES = [f"photo-{number}.jpg" for number in range(12)]
COMMAND = (sys.executable, "-m", "imgcompress", "compress")


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return a slow origin with a dozen photos."""
    photo = (200, "image/jpeg", sample("rocket.jpg"))
    with PlainOrigin({f"/{name}": photo for name in NAMES}, delay=1.0) as origin:
        yield origin


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of the command, with a cache of its own."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8",
        "ALLOWED_PORTS": "1024-65535",
        "FETCH_PER_HOST": "2",
        # A setting of an installation, which the run leaves alone.
        "DATABASE_URL": "postgresql://127.0.0.1:1/nothing",
    }


def test_an_interrupted_catalogue_is_continued(
    origin: PlainOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    rows = [f"{number},P,{origin.url(f'/{name}')}\n" for number, name in enumerate(NAMES)]
    lost = f"99,Lost,{origin.url('/lost.jpg')}\n"
    text = "".join(["S. No.,Product Name,Input Image Urls\n", *rows, lost])
    (tmp_path / "products.csv").write_text(text)
    command = (*COMMAND, "products.csv", "-o", "out.csv", "--fail-over", "10%")

    with Terminal(command, environment, tmp_path) as terminal:
        terminal.wait_for(r"[1-9]\d*/13")
        terminal.kill()
    # This one waits until the processes of the killed one have ended.
    with Terminal(command, environment, tmp_path) as terminal:
        terminal.wait_for(r"(?s)Continuing: [1-9]\d* of 13 images are compressed.*/13")
        terminal.type("\x03")
        assert terminal.exit_code() == 130
        assert "Run the same command again to continue." in terminal.text
        assert "Traceback" not in terminal.text
    assert not (tmp_path / "out.csv").exists()
    with Terminal(command, environment, tmp_path) as terminal:
        assert terminal.exit_code() == 0, terminal.text
        assert re.search(r"\d/13 +\d+\.\d/s", terminal.text)
        assert "12 of 13 images compressed" in terminal.text
        assert (
            "1 × source_status at 127.0.0.1: HTTP 404 Not Found, first in row 14" in terminal.text
        )

    with (tmp_path / "out.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["Output Image Urls"] for row in written[:-1]] == [
        f"out-images/{name}" for name in NAMES
    ]
    assert written[-1]["Output Image Urls"] == "" and "404" in written[-1]["Image Errors"]
    for name in NAMES:
        assert 0 < (tmp_path / "out-images" / name).stat().st_size < len(sample("rocket.jpg")) / 2
    # What was compressed before an interruption is not fetched again.
    assert sum(origin.hits[f"/{name}"] for name in NAMES) < 2 * len(NAMES)


def test_a_wrong_catalogue_ends_with_2_and_its_rows(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "products.csv").write_text("S. No.,Product Name,Input Image Urls\n1,A,https:///x\n")
    with Terminal((*COMMAND, "products.csv", "-o", "out.csv"), environment, tmp_path) as terminal:
        assert terminal.exit_code() == 2
        assert "row 2: " in terminal.text
