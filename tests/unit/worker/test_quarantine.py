"""The quarantine: an image that ends its process fails alone."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions
from imgcompress.imaging.codec_process import CodecProcess

ROOT = Path(__file__).parent.parent.parent.parent
FAULTS = ROOT / "tests" / "faults" / "harm"
HARM = b"\xff\xd8\xff\xe0HARM:"
OPTIONS = CompressOptions()


@pytest.fixture
def quarantine(monkeypatch: pytest.MonkeyPatch) -> Iterator[CodecProcess]:
    """Return a quarantine in which some images do harm."""
    monkeypatch.setenv("PYTHONPATH", f"{FAULTS}:{ROOT}")
    quarantine = CodecProcess(timeout=30)
    yield quarantine
    quarantine.close()


def _photo() -> bytes:
    return (ROOT / "samples" / "rocket.jpg").read_bytes()


def _grey(size: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((size, size), 50).save(file, "JPEG", quality=95)
    return file.getvalue()


def _code(quarantine: CodecProcess, data: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        quarantine.compress(data, OPTIONS)
    return raised.value.code


def test_an_innocent_image_is_compressed(quarantine: CodecProcess) -> None:
    made = quarantine.compress(_photo(), OPTIONS)
    assert (made.format, made.outcome) == ("jpeg", "target_met")
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.size == (made.width, made.height)


def test_a_faulty_image_fails_as_it_does_elsewhere(quarantine: CodecProcess) -> None:
    assert _code(quarantine, b"<!doctype html><html></html>") == "not_an_image"


def test_an_image_that_kills_the_process_fails_and_the_next_one_goes_on(
    quarantine: CodecProcess,
) -> None:
    assert _code(quarantine, HARM + b"KILL") == "worker_crashed"
    assert quarantine.compress(_photo(), OPTIONS).outcome == "target_met"


def test_an_image_that_never_comes_back_fails(quarantine: CodecProcess) -> None:
    quarantine.timeout = 0.5
    assert _code(quarantine, HARM + b"HANG") == "compress_timeout"


def test_the_time_of_a_start_is_not_the_images(
    quarantine: CodecProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 2\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    quarantine.timeout = 1.5
    assert quarantine.compress(_grey(40), OPTIONS).width == 40


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere"])
def test_a_process_that_does_not_start_is_not_the_images_fault(
    quarantine: CodecProcess, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert _code(quarantine, _photo()) == "internal_error"


def test_a_thread_that_ends_takes_along_its_process_alone(quarantine: CodecProcess) -> None:
    processes = []

    def work() -> None:
        for _ in range(2):
            quarantine.compress(_photo(), OPTIONS)
            processes.append(quarantine._process)

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(processes) == 4 and len({process.pid for process in processes if process}) == 2


def test_two_threads_do_not_mix_their_images_up(quarantine: CodecProcess) -> None:
    photos = {size: _grey(size) for size in (40, 80, 120, 160)}

    def work(size: int) -> set[int]:
        return {quarantine.compress(photos[size], OPTIONS).width for _ in range(10)}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, photos)) == [{size} for size in photos]


def test_nothing_is_left_after_closing(quarantine: CodecProcess) -> None:
    quarantine.compress(_photo(), OPTIONS)
    process = quarantine._process
    quarantine.close()
    assert process is not None and process.returncode is not None
    quarantine.close()
