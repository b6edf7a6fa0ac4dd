from __future__ import annotations

from pathlib import Path

import click
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from imgcompress.cli.demo import Client, shell_line


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
