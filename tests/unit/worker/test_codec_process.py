"""The codec process: an image that ends it fails alone."""

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
def codec(monkeypatch: pytest.MonkeyPatch) -> Iterator[CodecProcess]:
    """Return a codec process in which some images do harm."""
    monkeypatch.setenv("PYTHONPATH", f"{FAULTS}:{ROOT}")
    codec = CodecProcess(timeout=30)
    yield codec
    codec.close()


def _photo() -> bytes:
    return (ROOT / "samples" / "rocket.jpg").read_bytes()


def _grey(size: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((size, size), 50).save(file, "JPEG", quality=95)
    return file.getvalue()


def _code(codec: CodecProcess, data: bytes) -> str:
    with pytest.raises(ImageError) as raised:
        codec.compress(data, OPTIONS)
    return raised.value.code


def test_a_harmless_image_is_compressed(codec: CodecProcess) -> None:
    made = codec.compress(_photo(), OPTIONS)
    assert (made.format, made.outcome) == ("jpeg", "target_met")
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.size == (made.width, made.height)


def test_an_invalid_image_fails_as_in_the_worker(codec: CodecProcess) -> None:
    assert _code(codec, b"<!doctype html><html></html>") == "not_an_image"


def test_an_image_that_kills_the_process_fails_and_the_next_one_goes_on(
    codec: CodecProcess,
) -> None:
    assert _code(codec, HARM + b"KILL") == "worker_crashed"
    assert codec.compress(_photo(), OPTIONS).outcome == "target_met"


def test_an_image_that_hangs_fails(codec: CodecProcess) -> None:
    codec.timeout = 0.5
    assert _code(codec, HARM + b"HANG") == "compress_timeout"


def test_the_start_of_the_process_does_not_count_as_time_of_the_image(
    codec: CodecProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 2\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    codec.timeout = 1.5
    assert codec.compress(_grey(40), OPTIONS).width == 40


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere"])
def test_a_process_that_does_not_start_is_an_internal_error(
    codec: CodecProcess, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert _code(codec, _photo()) == "internal_error"


def test_a_thread_that_ends_ends_only_its_own_process(codec: CodecProcess) -> None:
    processes = []

    def work() -> None:
        for _ in range(2):
            codec.compress(_photo(), OPTIONS)
            processes.append(codec._process)

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(processes) == 4 and len({process.pid for process in processes if process}) == 2


def test_two_threads_do_not_mix_their_images_up(codec: CodecProcess) -> None:
    photos = {size: _grey(size) for size in (40, 80, 120, 160)}

    def work(size: int) -> set[int]:
        return {codec.compress(photos[size], OPTIONS).width for _ in range(10)}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, photos)) == [{size} for size in photos]


def test_nothing_is_left_after_closing(codec: CodecProcess) -> None:
    codec.compress(_photo(), OPTIONS)
    process = codec._process
    codec.close()
    assert process is not None and process.returncode is not None
    codec.close()
