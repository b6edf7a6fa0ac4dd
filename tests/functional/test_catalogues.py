"""The exports of shops go in by curl as they are, and come back with the new URLs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..origin import PlainOrigin
from .catalogues import Export, exports
from .photos import sample
from .service import Service

NAMES = [export.file_name for export in exports(str)]


def curl(service: Service, folder: Path, export: Export) -> dict[str, Any]:
    """Upload an export as docs/catalogues.md says; return the answer."""
    path = folder / export.file_name
    path.write_bytes(export.content)
    fields = [part for name, value in export.fields.items() for part in ("-F", f"{name}={value}")]
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "--fail-with-body",
            "-F",
            f"file=@{path}",
            *fields,
            f"{service.url}/upload",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("name", NAMES)
def test_an_export_goes_in_as_it_is(embedded_service: Service, tmp_path: Path, name: str) -> None:
    photo = (200, "image/jpeg", sample("chelsea.png"))
    with PlainOrigin({}) as origin:
        export = next(
            export
            for export in exports(lambda file: origin.url(f"/m/{file}"))
            if export.file_name == name
        )
        for file in ("a.jpg", "b.jpg", "c.jpg"):
            for query in ("", "?v=17", "?w=1&h=2", "?ts=1&s=x"):
                origin.files[f"/m/{file}{query}"] = photo
        told = curl(embedded_service, tmp_path, export)
        assert (
            told["layout"],
            told["columns"]["urls"],
            told["total_images"],
            told["total_rows"],
            told["warnings"],
        ) == (export.layout, export.urls, export.images, export.rows, [])
        status = embedded_service.finished(told["request_id"])
    assert (status["status"], status["completed_images"]) == ("COMPLETED", export.images)
    assert (status["layout"], status["columns"]) == (told["layout"], told["columns"])
    output = embedded_service.get(f"/job/download/{told['request_id']}").content
    rows = list(
        csv.reader(
            io.StringIO(output.decode("utf-8-sig"), newline=""),
            delimiter=export.delimiter,
            strict=True,
        )
    )
    header = next(
        at for at, row in enumerate(rows) if row[-2:] == ["Output Image Urls", "Image Errors"]
    )
    below = rows[header + 1 :]
    assert len(below) == export.rows
    assert sum(len(row[-2].split(",")) for row in below if row[-2]) == export.images
    assert {row[-1] for row in below} == {""}


def test_with_skip_one_bad_cell_fails_alone(embedded_service: Service) -> None:
    with PlainOrigin({"/a.png": (200, "image/png", sample("chelsea.png"))}) as origin:
        url = origin.url("/a.png")
        table = f"SKU,Photo\n1,{url}\n2,see page 3\n3,{url}\n"
        refused = embedded_service.upload(table.encode())
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "invalid_url")
        request_id = embedded_service.submit(table.encode(), on_row_error="skip")
        status = embedded_service.finished(request_id)
    assert (status["completed_images"], status["failed_images"]) == (2, 1)
    lines = embedded_service.get(f"/job/download/{request_id}").text.splitlines()
    assert lines[2].startswith('2,see page 3,,"1: url_not_allowed: ')
