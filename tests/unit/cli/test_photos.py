"""`imgcompress compress` of folders and image files, through real codec processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from imgcompress.__main__ import command
from imgcompress.cli import photos

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "samples"
Run = Callable[..., Result]


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """Return a folder with two photos, one of them below, and a text."""
    folder = tmp_path / "photos"
    (folder / "2026").mkdir(parents=True)
    shutil.copy(SAMPLES / "rocket.jpg", folder / "Rocket.JPG")
    shutil.copy(SAMPLES / "chelsea.png", folder / "2026" / "cat.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that compresses in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # The codec processes import the package.
    return lambda *arguments: CliRunner().invoke(command, ["compress", *map(str, arguments)])


def _files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def test_a_folder_keeps_its_tree_and_its_originals(
    originals: Path, run: Run, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in originals.rglob("*.*")}
    result = run("photos", "-o", "small")
    assert result.exit_code == 0, result.output
    assert "2 of 2 images compressed" in result.stderr and "ignored: 1" in result.stderr
    assert _files(tmp_path / "small") == ["2026/cat.png", "Rocket.JPG"]
    assert {path: path.read_bytes() for path in originals.rglob("*.*")} == before
    for path in ("2026/cat.png", "Rocket.JPG"):
        small, original = tmp_path / "small" / path, originals / path
        assert small.stat().st_size <= original.stat().st_size / 2
        with Image.open(small) as made, Image.open(original) as source:
            assert (made.format, made.size) == (source.format, source.size)


def test_finished_images_are_skipped_until_they_change(
    originals: Path, run: Run, tmp_path: Path
) -> None:
    run("photos", "-o", "small")
    assert "skipped: 2" in run("photos", "-o", "small").stderr
    shutil.copy(SAMPLES / "coffee.png", originals / "2026" / "cat.png")
    assert "skipped: 1" in run("photos", "-o", "small").stderr
    (tmp_path / "small" / "Rocket.JPG").unlink()
    assert "skipped: 1" in run("photos", "-o", "small").stderr
    assert "skipped" not in run("photos", "-o", "small", "--percent", 60).stderr
    assert "skipped" not in run("photos", "-o", "small", "--percent", 60, "--fresh").stderr
    with (tmp_path / "small" / photos.RECORD).open("a") as record:
        record.write('{"source": "cut o')
    assert "skipped: 2" in run("photos", "-o", "small", "--percent", 60).stderr


def test_another_format_changes_the_ending_and_keeps_images_apart(
    originals: Path, run: Run, tmp_path: Path
) -> None:
    shutil.copy(SAMPLES / "rocket.jpg", originals / "2026" / "cat.jpg")
    assert run("photos", "-o", "small", "--format", "webp", "--max-width", 50).exit_code == 0
    assert _files(tmp_path / "small") == ["2026/cat.jpg.webp", "2026/cat.png.webp", "Rocket.webp"]
    with Image.open(tmp_path / "small" / "Rocket.webp") as made:
        assert (made.format, made.width) == ("WEBP", 50)


def test_a_file_that_it_did_not_write_stays(originals: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "Rocket.JPG").write_text("mine")
    result = run("photos", "-o", "small")
    assert result.exit_code == 1 and "Rocket.JPG exists" in result.stderr
    assert (tmp_path / "small" / "Rocket.JPG").read_text() == "mine"


def test_an_output_folder_within_the_originals_is_no_source(
    originals: Path, run: Run, tmp_path: Path
) -> None:
    run("photos", "-o", "photos/small")
    assert "2 of 2 images" in run("photos", "-o", "photos/small").stderr
    assert _files(originals / "small") == ["2026/cat.png", "Rocket.JPG"]


def test_failures_are_shown_by_reason(originals: Path, run: Run, tmp_path: Path) -> None:
    (originals / "page.jpg").write_text("<!doctype html><title>login</title>")
    (originals / "cut.jpg").write_bytes((SAMPLES / "rocket.jpg").read_bytes()[:5000])
    result = run("photos", "-o", "small")
    assert result.exit_code == 1 and "2 of 4 images compressed" in result.stderr
    assert "1 × not_an_image" in result.stderr and "page.jpg" in result.stderr
    assert "1 × truncated_image" in result.stderr and "cut.jpg" in result.stderr
    assert run("photos", "-o", "small", "--fail-over", "50%").exit_code == 0


def test_single_images_go_to_a_file_or_a_folder(originals: Path, run: Run, tmp_path: Path) -> None:
    assert run("photos/Rocket.JPG", "-o", "rocket-small.jpg").exit_code == 0
    assert run("photos/Rocket.JPG", "photos/2026/cat.png", "-o", "small").exit_code == 0
    assert _files(tmp_path / "small") == ["Rocket.JPG", "cat.png"]
    assert (tmp_path / "rocket-small.jpg").stat().st_size < (
        originals / "Rocket.JPG"
    ).stat().st_size


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("photos", "-o", "photos"), "must not be the folder of the originals"),
        (("photos", "photos", "-o", "small"), "given twice"),
        (("photos", "-o", "small", "--sheet", "1"), "--sheet is for catalogues"),
        (("photos", "-o", "small", "--image-url", "https://a"), "are for catalogues"),
        (("photos/notes.txt", "photos", "-o", "small"), "notes.txt is not an image"),
        (("photos", "-o", "small", "--percent", "99"), "1<=x<=95"),
        (("missing", "-o", "small"), "missing"),
        (("photos/2026/empty", "-o", "small"), "There are no images"),
    ],
)
def test_a_usage_error_exits_with_2(
    originals: Path, run: Run, arguments: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    (originals / "2026" / "empty").mkdir()
    result = run(*arguments)
    assert result.exit_code == 2 and expected in result.stderr, result.output
    assert not (tmp_path / "small").exists()
