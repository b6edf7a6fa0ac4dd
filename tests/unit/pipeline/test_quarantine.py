"""The quarantine: an image that ends its process fails alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imgcompress.errors import ImageError
from imgcompress.pipeline.compress import CompressOptions
from imgcompress.pipeline.quarantine import Quarantine

ROOT = Path(__file__).parent.parent.parent.parent
FAULTS = ROOT / "tests" / "faults" / "harm"
HARM = b"\xff\xd8\xff\xe0HARM:"
OPTIONS = CompressOptions()


@pytest.fixture
def quarantine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Quarantine]:
    """Return a quarantine in which some images do harm."""
    monkeypatch.setenv("PYTHONPATH", f"{FAULTS}:{ROOT}")
    quarantine = Quarantine(timeout=30)
    yield quarantine
    quarantine.close()


def _photo() -> bytes:
    return (ROOT / "samples" / "rocket.jpg").read_bytes()


def _code(quarantine: Quarantine, data: bytes) -> str:
    with pytest.raises(ImageError) as told:
        quarantine.compress(data, OPTIONS)
    return told.value.code


def test_an_innocent_image_is_compressed(quarantine: Quarantine) -> None:
    made = quarantine.compress(_photo(), OPTIONS)
    assert (made.format, made.outcome) == ("jpeg", "target_met")
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.size == (made.width, made.height)


def test_a_faulty_image_fails_as_it_does_elsewhere(quarantine: Quarantine) -> None:
    assert _code(quarantine, b"<!doctype html><html></html>") == "not_an_image"


def test_an_image_that_kills_the_process_fails_and_the_next_one_goes_on(
        quarantine: Quarantine) -> None:
    assert _code(quarantine, HARM + b"KILL") == "worker_crashed"
    assert quarantine.compress(_photo(), OPTIONS).outcome == "target_met"


def test_an_image_that_never_comes_back_fails(quarantine: Quarantine) -> None:
    quarantine.compress(_photo(), OPTIONS)  # So that the time limit meets a process that runs.
    quarantine.timeout = 0.5
    assert _code(quarantine, HARM + b"HANG") == "compress_timeout"


def test_nothing_is_left_after_closing(quarantine: Quarantine) -> None:
    quarantine.compress(_photo(), OPTIONS)
    process = quarantine._process
    quarantine.close()
    assert process is not None and process.returncode is not None
    quarantine.close()
