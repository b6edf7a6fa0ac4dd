from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from imgcompress.cli.demo import Client, saved, shell_line, show_images, show_totals, size


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    path.write_text("S. No.,Product Name,Input Image Urls\n", encoding="utf-8")
    return path


@pytest.fixture
def client(httpserver: HTTPServer) -> Client:
    return Client(httpserver.url_for("").rstrip("/"))


def accept(request: Request) -> Response:
    """Answer like the service, with the uploaded text as the id."""
    return Response(f'{{"request_id": "{request.files["file"].read().decode().strip()}"}}')


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "/nowhere"], ids=["curl", "no curl"])
def test_a_csv_is_uploaded_with_and_without_curl(
    path: str, client: Client, csv: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/upload", method="POST").respond_with_handler(accept)
    monkeypatch.setenv("PATH", path)

    assert client.upload(csv)["request_id"] == "S. No.,Product Name,Input Image Urls"


def test_a_rejected_upload_is_reported(client: Client, csv: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/upload").respond_with_json({"code": "no_rows"}, status=400)

    with pytest.raises(click.ClickException, match="no_rows"):
        client.upload(csv)


def test_polling_ends_with_the_job(client: Client, httpserver: HTTPServer) -> None:
    for status in ("PENDING", "PROCESSING", "COMPLETED"):
        httpserver.expect_ordered_request("/job/status/1").respond_with_json({"status": status})

    answer = [status["status"] for status in client.poll("1")]
    assert answer == ["PENDING", "PROCESSING", "COMPLETED"]


def test_an_unexpected_answer_is_reported(client: Client, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/job/details/1").respond_with_data("no such job", status=404)

    with pytest.raises(click.ClickException, match="/job/details/1.* returned 404: no such job"):
        client.images("1")


def test_a_command_is_shown_as_typed(client: Client) -> None:
    line = shell_line(client.upload_command(Path("my products.csv")))

    assert line == f"$ curl -sS -F 'file=@my products.csv' {client.url}/upload"


DONE = {
    "product_name": "Framed Portrait: Eileen Collins, with a very long subtitle",
    "input_url": "http://127.0.0.1:4711/folder/astronaut.png",
    "status": "COMPLETED",
    "outcome": "floor_reached",
    "error": None,
    "input_bytes": 1_000_000,
    "output_bytes": 250_000,
}
FAILED = DONE | {
    "status": "FAILED",
    "outcome": None,
    "error": {"code": "source_status"},
    "input_bytes": None,
    "output_bytes": None,
}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0.0 kB"), (1_500, "1.5 kB"), (999_949, "999.9 kB"), (1_234_567, "1.23 MB")],
)
def test_sizes_are_written_for_people(count: int, expected: str) -> None:
    assert size(count) == expected


def test_the_saved_share_is_that_of_the_input() -> None:
    assert saved(200, 50) == "75.0 %"
    assert saved(0, 0) == "-"


def test_an_image_is_one_line_of_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_images([DONE, FAILED])
    header, done, failed = capsys.readouterr().out.splitlines()

    assert done.split()[-7:] == ["1.00", "MB", "250.0", "kB", "75.0", "%", "floor_reached"]
    assert "astronaut.png" in done and "folder" not in done
    assert failed.split()[-4:] == ["-", "-", "-", "source_status"]
    assert max(map(len, (header, done, failed))) <= 100


@pytest.mark.parametrize(("failures", "end"), [(0, "75.0 % saved"), (2, "75.0 % saved; 2 failed")])
def test_the_totals_show_of_failures(
    failures: int, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status: dict[str, Any] = {
        "total_images": 8,
        "failed_images": failures,
        "input_bytes": 3_000_000,
        "output_bytes": 750_000,
    }
    show_totals(status)

    answer = capsys.readouterr().out.strip()
    assert answer == f"8 images: 3.00 MB before, 750.0 kB after, {end}"
