"""The commands that use a service, against the application behind a real web server."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from openpyxl import Workbook, load_workbook

from imgcompress import create_app
from imgcompress.__main__ import command
from imgcompress.cli import options
from imgcompress.cli.options import Tolerance, ToleranceType
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.api_keys import create_key

from tests.support.served import served
from tests.support.work import process

CATALOGUE = (
    b"S. No.,Product Name,Input Image Urls\r\n"
    b'1,SKU1,"https://shop.test/1.jpg,https://shop.test/2.jpg"\r\n'
)
Run = Callable[..., Result]


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Return the application, which asks for keys, and whose broker is away."""
    app = create_app(
        load_settings(
            None,
            database_url=sqlite_url,
            data_dir=tmp_path / "var",
            celery_broker_url="redis://127.0.0.1:1/0",
            require_api_key=True,
        )
    )
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def run(app: Flask) -> Iterator[Run]:
    """Return a function that runs the command with the server and a key in the environment."""
    with app.app_context():
        key = create_key("shop")
    with served(app) as url:
        environment = {"IMGCOMPRESS_SERVER": url, "IMGCOMPRESS_KEY": key}
        yield lambda *arguments, **options: CliRunner().invoke(
            command, list(map(str, arguments)), env=environment, **options
        )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a catalogue with two images."""
    path = tmp_path / "products.csv"
    path.write_bytes(CATALOGUE)
    return path


@pytest.fixture
def job(run: Run, file: Path) -> str:
    """Submit the catalogue; return the id, which is all that is printed."""
    result = run("submit", file, "--format", "webp", "--percent", 60)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_workbook_comes_back_as_its_name_says(
    app: Flask, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    book = Workbook()
    for row in csv.reader(CATALOGUE.decode().splitlines()):
        book.active.append(row)
    book.save(tmp_path / "products.xlsx")
    job = run("submit", tmp_path / "products.xlsx").stdout.strip()
    process(app, job)

    assert run("download", job).stdout == "products-compressed.xlsx\n"
    written = load_workbook("products-compressed.xlsx").active
    assert [cell.value for cell in written[1]][-2:] == ["Output Image Urls", "Image Errors"]
    assert run("download", job, "-o", "out.csv").exit_code == 0
    assert "Output Image Urls,Image Errors" in Path("out.csv").read_text()
    rejected = run("download", job, "-o", "out.xlsm")
    assert rejected.exit_code == 2 and "name it out.xlsx" in rejected.stderr


@pytest.mark.parametrize("tolerance, code", [("0", 1), ("1", 0), ("49%", 1), ("50%", 0)])
def test_the_exit_code_says_whether_too_many_failed(
    app: Flask, run: Run, job: str, tolerance: str, code: int
) -> None:
    process(app, job, fails={1})
    result = run("status", job, "--wait", "--fail-over", tolerance)
    assert result.exit_code == code, result.output
    assert "1 of 2 images compressed" in result.stderr
    assert "1 × source_status at shop.test: HTTP 404 Not Found, first in row 2" in result.stderr
    assert "The server refused to send the image" in result.stderr


def test_a_submission_waits_and_saves_the_output(
    app: Flask, run: Run, file: Path, tmp_path: Path
) -> None:
    (job,) = {run("submit", file, "--idempotency-key", "nightly").stdout.strip() for _ in range(2)}
    process(app, job)
    again = ("submit", file, "--idempotency-key", "nightly", "-o", tmp_path / "out.csv")
    result = run(*again)
    assert (result.exit_code, result.stdout.strip()) == (0, job), result.output
    assert "Output Image Urls" in (tmp_path / "out.csv").read_text()
    assert json.loads(run(*again, "--json").stdout)["status"] == "COMPLETED"
    rejected = run("submit", file, "-o", tmp_path / "out.xlsx")
    assert rejected.exit_code == 2 and "name it out.csv" in rejected.stderr
    rejected = run("submit", file, "-o", file)
    assert rejected.exit_code == 2 and file.read_bytes() == CATALOGUE


def test_a_submission_asks_for_further_columns(app: Flask, run: Run, file: Path) -> None:
    job = run("submit", file, "--output-columns", "Advice, score").stdout.strip()
    process(app, job)
    target = file.with_name("out.csv")
    assert run("download", job, "-o", target).exit_code == 0
    with target.open(encoding="utf-8-sig", newline="") as output:
        (row,) = csv.DictReader(output)
    assert list(row)[-2:] == ["Score", "Advice"] and len(row["Score"].split(",")) == 2
    wrong = run("submit", file, "--output-columns", "change")
    assert wrong.exit_code == 2 and "give some of score, advice" in wrong.stderr


def test_a_job_is_listed_shown_and_downloaded(
    app: Flask, run: Run, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert job in run("jobs").stdout and run("jobs", "--status", "failed").stdout == ""
    assert "PENDING" in run("status", job).stdout
    assert run("download", job).exit_code == 2
    assert run("download", job, "--partial").stdout == "products-compressed.csv\n"
    process(app, job)
    assert run("download", job, "--archive").stdout == "products-images.zip\n"
    assert "already" in run("download", job).stderr
    assert json.loads(run("status", job, "--json").stdout)["completed_images"] == 2


def test_a_job_is_cancelled_retried_and_deleted(app: Flask, run: Run, job: str) -> None:
    assert "CANCELLED" in run("cancel", job).stdout
    assert "PENDING" in run("retry", job).stdout
    assert run("retry", job).exit_code == 2
    assert run("delete", job, input="n\n").exit_code == 1
    assert run("delete", job, input="y\n").exit_code == 0
    missing = run("status", job)
    assert missing.exit_code == 2 and missing.stderr.startswith("Error: ")


def test_an_invalid_file_is_rejected_with_its_rows(run: Run, file: Path) -> None:
    file.write_bytes(CATALOGUE.replace(b"https://shop.test/2.jpg", b"https:///2.jpg"))
    result = run("submit", file)
    assert result.exit_code == 2 and "row 2: " in result.stderr
    checked = run("submit", file, "--dry-run")
    assert checked.exit_code == 0 and "row 2: " in checked.stdout


@pytest.mark.parametrize(
    "arguments, code, expected",
    [
        (("jobs", "--server", "http://127.0.0.1:1"), 3, "cannot be reached"),
        (("jobs", "--key", "imgc_wrong"), 3, "key"),
        (("jobs", "--key", "imgc_…"), 3, "Copy it again"),
        (("jobs", "--server", "shop.test"), 2, "http://"),
        (("submit", "missing.csv"), 2, "missing.csv"),
        (("status", "1", "--fail-over", "many"), 2, "such as 10"),
    ],
)
def test_a_failed_command_exits_with_its_code(
    run: Run, arguments: tuple[str, ...], code: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "PATIENCE", 0)
    result = run(*arguments)
    assert result.exit_code == code and expected in result.stderr, result.output


def test_a_tolerance_is_a_number_or_a_share() -> None:
    read = ToleranceType().convert
    assert read("5%", None, None) == Tolerance(0.05, True)
    assert not Tolerance(0.05, True).is_exceeded(5, 100)
    assert Tolerance(0.05, True).is_exceeded(6, 100)
    assert Tolerance(3, False).is_exceeded(4, 1000)
