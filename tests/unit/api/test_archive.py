"""The ZIP of the images of a job: its entries, and memory that does not grow with their number."""

from __future__ import annotations

import io
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse

from imgcompress.api.downloads import Outlet, StreamedZip, archive_name
from imgcompress.ledger import queries
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.queries import NamedImage
from imgcompress.storage import Storage

from .conftest import Upload
from tests.support.work import PHOTO, images, process


def _archive(client: FlaskClient, request_id: str, query: str = "") -> TestResponse:
    return client.get(f"/job/archive/{request_id}{query}", buffered=True)


def _zip(answer: TestResponse) -> ZipFile:
    assert answer.status_code == 200, answer.text
    return ZipFile(io.BytesIO(answer.data))


def test_every_compressed_image_is_in_it(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id, fails={1})
    archive = _zip(_archive(client, request_id))
    assert archive.testzip() is None
    assert archive.namelist() == ["SKU1-2-1.jpg", "SKU2-3-1.jpg"]
    for entry in archive.infolist():
        assert archive.read(entry) == PHOTO and entry.compress_type == ZIP_STORED


def test_it_is_an_attachment_named_after_the_upload(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    request_id = upload(filename="Größe 42.csv").json["request_id"]
    process(app, request_id)
    headers = _archive(client, request_id).headers
    assert headers["Content-Type"] == "application/zip"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert parse_options_header(headers["Content-Disposition"]) == (
        "attachment",
        {"filename": "Größe 42-compressed.zip"},
    )


def test_unzip_reads_it(app: Flask, client: FlaskClient, request_id: str, tmp_path: Path) -> None:
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("There is no unzip here.")
    process(app, request_id)
    (tmp_path / "a.zip").write_bytes(_archive(client, request_id).data)
    subprocess.run([unzip, "-q", "a.zip", "-d", "out"], cwd=tmp_path, check=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "SKU1-2-1.jpg",
        "SKU1-2-2.jpg",
        "SKU2-3-1.jpg",
    }


def test_images_that_share_a_file_are_all_in_it(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    content = b"S. No.,Product Name,Input Image Urls\n1,A,http://a.test/1\n2,A,http://a.test/1\n"
    request_id = upload(content).json["request_id"]
    process(app, request_id)
    assert _zip(_archive(client, request_id)).namelist() == ["A-2-1.jpg", "A-3-1.jpg"]


def test_while_the_job_runs_a_partial_archive_needs_a_parameter(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, only={2})
    answer = _archive(client, request_id)
    assert (answer.status_code, answer.json["code"]) == (409, "job_running")
    assert _zip(_archive(client, request_id, "?partial=true")).namelist() == ["SKU2-3-1.jpg"]
    with app.app_context():
        cancel_job(UUID(request_id))
    assert _zip(_archive(client, request_id)).namelist() == ["SKU2-3-1.jpg"]


def test_without_images_there_is_no_archive(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={0, 1, 2})
    answer = _archive(client, request_id)
    assert (answer.status_code, answer.json["code"]) == (409, "no_images")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_an_image_without_its_file_is_left_out_and_listed(
    app: Flask, client: FlaskClient, request_id: str, lost: int
) -> None:
    process(app, request_id)
    app.extensions["storage"].delete(images(app, request_id)[lost].storage_key)
    names = ["SKU1-2-1.jpg", "SKU1-2-2.jpg", "SKU2-3-1.jpg"]
    missing = names.pop(lost)
    archive = _zip(_archive(client, request_id))
    assert archive.testzip() is None
    assert archive.namelist() == [*names, "missing-images.txt"]
    assert archive.read("missing-images.txt").decode() == f"{missing}\r\n"


def test_without_any_file_there_is_no_archive(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    app.extensions["storage"].delete_folder(f"images/{request_id}")
    answer = _archive(client, request_id)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_it_is_sent_in_pieces_while_it_is_written(
    app: Flask, client: FlaskClient, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "OUTCOME_BATCH", 7)
    rows = [f"{number},a,http://a.test/{number}.jpg" for number in range(40)]
    request_id = upload("\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()).json[
        "request_id"
    ]
    process(app, request_id)
    _store_large_files(app, request_id)
    tracemalloc.start()
    try:
        answer = client.get(f"/job/archive/{request_id}")
        size = sum(map(len, answer.iter_encoded()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        answer.close()
    assert size > 40 * LARGE and peak < 2 * LARGE


LARGE = 2**20


def _store_large_files(app: Flask, request_id: str) -> None:
    storage: Storage = app.extensions["storage"]
    for image in images(app, request_id):
        storage.write(image.storage_key or "", bytes(LARGE))


def _named(product: str, row: int = 2, position: int = 0, output: str | None = None) -> str:
    return archive_name(NamedImage(0, row, position, product, output, "images/1/2.webp"))


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("Rocket", "Rocket-2-1.webp"),
        ("Größe 42 – 商品", "Größe 42 – 商品-2-1.webp"),
        ("  two\r\n lines\t", "two lines-2-1.webp"),
        ("", "image-2-1.webp"),
        ("../../etc/passwd", "etcpasswd-2-1.webp"),
        ("/abs\\path", "abspath-2-1.webp"),
        ('a<b>:"c|d?*', "abcd-2-1.webp"),
        ("CON", "_CON-2-1.webp"),
        (".hidden.", "hidden-2-1.webp"),
        ("nul\0 esc\x1b[31m", "nul esc[31m-2-1.webp"),
        ("\u202egpj.exe", "gpj.exe-2-1.webp"),
        ("e\u0301", "\u00e9-2-1.webp"),
        ("..", "image-2-1.webp"),
        ("-rf", "_-rf-2-1.webp"),
        ("con.jpg", "_con.jpg-2-1.webp"),
    ],
)
def test_names_are_readable_and_safe(product: str, name: str) -> None:
    assert _named(product) == name


@pytest.mark.parametrize("product", ["x" * 1000, "商" * 1000, "👟" * 1000])
def test_long_names_are_cut_to_what_file_systems_take(product: str) -> None:
    name = _named(product, row=1_000_001, position=99)
    assert len(name.encode()) < 255 and name.endswith("-1000001-100.webp")


def test_no_two_images_share_a_name() -> None:
    names = [
        _named(product, row, position)
        for product in ("a", "a-1", "a-1-1", "A")
        for row in (1, 11)
        for position in (0, 10)
    ]
    assert len(set(names)) == len(names)


def test_a_row_may_name_its_files() -> None:
    assert _named("Rocket", output="rocket-front") == "rocket-front-2-1.webp"


def _written(entries: int) -> Iterator[bytes]:
    with closing(Outlet()) as outlet:
        with StreamedZip(outlet) as target:
            for number in range(entries):
                name = f"A product with a long name-{number}-1.jpg"
                with target.open(ZipInfo(name, (2026, 1, 1, 0, 0, 0)), "w") as member:
                    member.write(b"%d" % number)
                yield from outlet.drain()
        yield from outlet.drain()


def _peak(entries: int) -> int:
    tracemalloc.start()
    try:
        for _ in _written(entries):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_every_entry_is_in_the_directory() -> None:
    with ZipFile(io.BytesIO(b"".join(_written(3000)))) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3000
        assert archive.read("A product with a long name-2999-1.jpg") == b"2999"


def test_an_empty_archive_is_valid() -> None:
    with ZipFile(io.BytesIO(b"".join(_written(0)))) as archive:
        assert archive.namelist() == []


def test_memory_does_not_grow_with_the_entries() -> None:
    few, many = _peak(3000), _peak(12_000)
    assert many < few + 200_000  # zipfile itself takes over three megabytes more.


def test_an_archive_that_is_given_up_leaves_nothing_open() -> None:
    chunks = _written(10)
    next(chunks)
    chunks.close()
