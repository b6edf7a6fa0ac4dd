"""The exports of shops go in by curl as they are, and come back with the new URLs.

Python's csv, pandas and openpyxl read the output.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest

from ..origin import PlainOrigin
from .catalogues import Export, exports
from tests.support.photos import sample
from tests.support.service import Service

OUTPUT_COLUMNS = ["Output Image Urls", "Image Errors"]
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
        answer = curl(embedded_service, tmp_path, export)
        assert (
            answer["layout"],
            answer["columns"]["urls"],
            answer["total_images"],
            answer["total_rows"],
            answer["warnings"],
        ) == (export.layout, export.urls, export.images, export.rows, [])
        status = embedded_service.finished(answer["request_id"])
    assert (status["status"], status["completed_images"]) == ("COMPLETED", export.images)
    assert (status["layout"], status["columns"]) == (answer["layout"], answer["columns"])
    appended = embedded_service.get(f"/job/download/{answer['request_id']}")
    below = _rows_with_output(export, appended.content)
    assert len(below) == export.rows
    assert sum(len(row[0].split(",")) for row in below if row[0]) == export.images
    assert {row[1] for row in below} == {""}
    replaced = embedded_service.get(f"/job/download/{answer['request_id']}", output="replace")
    _assert_urls_alone_changed(
        export, replaced.content, embedded_service.details(answer["request_id"])
    )
    # What came back can be uploaded as the original was.
    again = embedded_service.upload_file(
        export.file_name.removesuffix(".gz").replace(".zip", ".csv"),
        replaced.content,
        dry_run="true",
        **export.fields,
    )
    assert (again["layout"], again["total_images"]) == (export.layout, export.images), again


def test_without_any_new_url_an_export_comes_back_as_it_was(embedded_service: Service) -> None:
    with PlainOrigin({}) as origin:
        jobs = [
            (
                export,
                embedded_service.upload_file(
                    export.file_name, export.content, output="replace", **export.fields
                )["request_id"],
            )
            for export in exports(lambda file: origin.url(f"/gone/{file}"))
        ]
        for _, request_id in jobs:
            assert embedded_service.finished(request_id)["completed_images"] == 0
    for export, request_id in jobs:
        output = embedded_service.get(f"/job/download/{request_id}").content
        if export.file_name.endswith(".xlsx"):
            assert _cells(output) == _cells(export.content)
        else:
            assert output == _table(export), export.file_name
        errors = embedded_service.get(f"/job/download/{request_id}", errors="true")
        found = pandas.read_csv(io.BytesIO(errors.content), sep=export.delimiter)
        assert list(found) == ["Row", "Column", "URL", "Code", "Message"]
        assert len(found) == export.images and set(found["Column"]) <= set(export.urls)


def _table(export: Export) -> bytes:
    """Return an export without the archive around it."""
    if export.file_name.endswith(".gz"):
        return gzip.decompress(export.content)
    if export.file_name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(export.content)) as archive:
            return archive.read(archive.namelist()[0])
    return export.content


def _cells(workbook: bytes) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(workbook))
    return [[cell.value for cell in row] for row in book.worksheets[0]]


def _rows_with_output(export: Export, output: bytes) -> list[list[str]]:
    """Return the two columns more of each row, as Python's csv or openpyxl and pandas read them."""
    if export.file_name.endswith(".xlsx"):
        rows = [[str(value or "") for value in row] for row in _cells(output)]
        frame = pandas.read_excel(io.BytesIO(output), dtype=str, keep_default_na=False)
        at = 0
    else:
        text = io.StringIO(output.decode("utf-8-sig"), newline="")
        rows = list(csv.reader(text, delimiter=export.delimiter, strict=True))
        at = next(at for at, row in enumerate(rows) if row[-2:] == OUTPUT_COLUMNS)
        frame = pandas.read_csv(
            io.BytesIO(output),
            sep=export.delimiter,
            encoding="utf-8-sig",
            header=None,
            names=rows[at],
            skiprows=at + 1,
            dtype=str,
            keep_default_na=False,
        )
    assert rows[at][-2:] == OUTPUT_COLUMNS
    below = [row[-2:] for row in rows[at + 1 :]]
    assert frame[OUTPUT_COLUMNS].to_numpy().tolist() == below
    return below


def _assert_urls_alone_changed(export: Export, output: bytes, images: list[dict[str, Any]]) -> None:
    """Between the new URLs stands what stood between the old ones, byte for byte."""
    urls = [image["output_url"] for image in images]
    if export.file_name.endswith(".xlsx"):
        old, new = _cells(export.content), _cells(output)
        assert [row[:2] for row in old] == [row[:2] for row in new]
        assert ",".join(row[2] for row in new[1:]) == ",".join(urls)
        return
    between = re.split(b"|".join(re.escape(url.encode()) for url in urls), output)
    assert len(between) == len(urls) + 1
    before = re.fullmatch(rb"(\S+?)".join(map(re.escape, between)), _table(export))
    assert before, output
    for old, image in zip(before.groups(), images, strict=True):
        assert image["input_url"].endswith(html.unescape(old.decode()).removeprefix("/"))


def test_with_skip_one_bad_cell_fails_alone(embedded_service: Service) -> None:
    with PlainOrigin({"/a.png": (200, "image/png", sample("chelsea.png"))}) as origin:
        url = origin.url("/a.png")
        table = f"SKU,Photo\n1,{url}\n2,see page 3\n3,{url}\n"
        rejected = embedded_service.upload(table.encode())
        assert (rejected.status_code, rejected.json()["errors"][0]["code"]) == (400, "invalid_url")
        request_id = embedded_service.submit(table.encode(), on_row_error="skip")
        status = embedded_service.finished(request_id)
    assert (status["completed_images"], status["failed_images"]) == (2, 1)
    lines = embedded_service.get(f"/job/download/{request_id}").text.splitlines()
    assert lines[2].startswith('2,see page 3,,"1: url_not_allowed: ')
