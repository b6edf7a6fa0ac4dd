"""`imgcompress compress` in a terminal: interrupted, continued, and what it writes."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

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
    origin.delay = 5.0  # Long enough for Ctrl-C to come before the end.
    # This one waits until the processes of the killed one have ended.
    with Terminal(command, environment, tmp_path) as terminal:
        terminal.wait_for(r"(?s)Continuing: [1-9]\d* of 13 images are compressed.*/13")
        terminal.type("\x03")
        assert terminal.exit_code() == 130
        assert "Run the same command again to continue." in terminal.text
        assert "Traceback" not in terminal.text
    assert not (tmp_path / "out.csv").exists()
    origin.delay = 0.5
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


def test_a_workbook_becomes_a_workbook_or_a_csv(
    origin: PlainOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    book = Workbook()
    book.active.append(["S. No.", "Product Name", "Input Image Urls"])
    book.active.append([1, "Rocket", origin.url(f"/{NAMES[0]}")])
    book.active.append([2, "Private", "http://10.1.2.3/photo.jpg"])
    book.save(tmp_path / "products.xlsx")
    command = (*COMMAND, "products.xlsx", "--on-row-error", "skip", "--fail-over", "1")
    place = f"images/{NAMES[0]}"

    address = ("--image-url", "https://cdn.shop.test/x?a=1&b=")
    workbook = (*command, "-o", "out.xlsx", "--images", "images", *address)
    with Terminal(workbook, environment, tmp_path) as terminal:
        assert terminal.exit_code() == 0, terminal.text
    _, good, bad = load_workbook(tmp_path / "out.xlsx").active.iter_rows(values_only=True)
    assert good[3] == f"{address[1]}/{NAMES[0]}"
    assert "ALLOWED_PRIVATE_NETWORKS" in bad[4] and "operator" not in bad[4]

    table = (*command, "-o", "out.csv", "--images", "images")
    with Terminal(table, environment, tmp_path) as terminal:
        assert terminal.exit_code() == 0, terminal.text
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8-sig") as file:
        good, bad = csv.DictReader(file)
    assert good["Output Image Urls"] == place and (tmp_path / place).exists()
    assert "ALLOWED_PRIVATE_NETWORKS" in bad["Image Errors"]
    assert origin.hits[f"/{NAMES[0]}"] == 1
