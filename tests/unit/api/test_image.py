from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress.config import Settings

from .conftest import Upload
from tests.support.buckets import Bucket
from tests.support.work import PHOTO, images, process


@pytest.fixture(params=["file", "s3"])
def settings(
    settings: Settings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Return the settings of an installation, with each kind of storage."""
    if request.param == "file":
        return settings
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket.use(monkeypatch, settings)


@pytest.fixture
def path(app: Flask, request_id: str) -> str:
    """Return the path of a compressed image."""
    process(app, request_id)
    return urlsplit(images(app, request_id)[0].image_url or "").path


def _get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(path, headers=named, buffered=True)


def test_an_image_comes_with_its_type_and_may_be_kept_forever(
    client: FlaskClient, path: str
) -> None:
    answer = _get(client, path)
    assert answer.status_code == 200 and answer.data == PHOTO
    assert answer.content_type == "image/jpeg" and answer.content_length == len(PHOTO)
    assert {"public", "immutable", "max-age=31536000"} == set(
        answer.headers["Cache-Control"].split(", ")
    )
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_an_address_ends_in_the_name_of_the_source(
    app: Flask, upload: Upload, client: FlaskClient
) -> None:
    content = (
        b"S. No.,Product Name,Input Image Urls,Output Name\r\n"
        b'1,SKU1,"https://shop.test/a/Front%20view.jpeg?w=9,'
        b'https://shop.test/b\xc3\xa4r.png",\r\n'
        b'2,SKU2,"https://shop.test/1.jpg,https://shop.test/2.jpg","Lamp, red"\r\n'
        b"3,SKU3,https://shop.test/1.jpg,\r\n"
    )
    request_id = upload(content).json["request_id"]
    process(app, request_id)
    names = ["Front-view", "bar", "Lamp-red", "Lamp-red-2", "1"]
    urls = [image.image_url or "" for image in images(app, request_id)]
    assert urls == [
        f"http://localhost/image/{image.image_id}/{name}.jpg"
        for image, name in zip(images(app, request_id), names, strict=True)
    ]
    assert [_get(client, url).status_code for url in urls] == [200] * 5


def test_an_image_is_found_by_its_id_whatever_its_name(client: FlaskClient, path: str) -> None:
    folder, _, name = path.rpartition("/")
    assert name == "1.jpg"
    result = _get(client, path)
    for other in (f"{folder}/another.name.jpg", f"{folder}.jpg"):
        answer = _get(client, other)
        assert (answer.status_code, answer.data) == (200, PHOTO)
        assert dict(answer.headers) | {"Date": "", "X-Request-ID": ""} == (
            dict(result.headers) | {"Date": "", "X-Request-ID": ""}
        )
        assert _get(client, other, If_None_Match=result.headers["ETag"]).status_code == 304


def test_an_image_is_harmless_content_of_others(client: FlaskClient, path: str) -> None:
    headers = _get(client, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_served_image_is_logged_at_debug(
    client: FlaskClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "imgcompress.api.middleware")
    with client.get(path):
        pass
    client.get("/image/00000000-0000-4000-8000-000000000000")
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO"]


def test_a_known_image_is_not_sent_again(client: FlaskClient, path: str) -> None:
    etag = _get(client, path).headers["ETag"]
    assert not etag.startswith("W/")
    answer = _get(client, path, If_None_Match=etag)
    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=1000-5000", 1000, 1024),
    ],
)
def test_only_the_requested_range_is_sent(
    client: FlaskClient, path: str, wanted: str, start: int, end: int
) -> None:
    answer = _get(client, path, Range=wanted)
    assert answer.status_code == 206 and answer.data == PHOTO[start:end]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(PHOTO)}"
    assert answer.content_length == end - start


def test_a_range_of_another_version_brings_the_whole_image(client: FlaskClient, path: str) -> None:
    answer = _get(client, path, Range="bytes=0-99", If_Range='"another"')
    assert answer.status_code == 200 and answer.data == PHOTO


def test_a_range_behind_the_end_is_rejected(client: FlaskClient, path: str) -> None:
    answer = _get(client, path, Range="bytes=5000-6000")
    assert answer.status_code == 416 and answer.json["code"] == "range_not_satisfiable"
    assert answer.headers["Content-Range"] == f"bytes */{len(PHOTO)}"


def test_head_returns_only_the_headers(client: FlaskClient, path: str) -> None:
    answer = client.head(path, buffered=True)
    assert answer.content_length == len(PHOTO) and answer.data == b""


@pytest.mark.parametrize(
    "name",
    [
        "7d3c1f0e-9a52-4f0b-8d25-0b5a4c1e6f11.jpg",
        "1.jpg",
        "%00.jpg",
        "..%2f..%2fledger.jpg",
        "../../ledger.sqlite3",
        "%2e%2e/%2e%2e/etc/passwd.jpg",
        "..\\..\\ledger.jpg",
        "%252e%252e%252fledger.jpg",
    ],
)
def test_no_path_leads_to_another_file(client: FlaskClient, path: str, name: str) -> None:
    answer = _get(client, f"/image/{name}")
    assert answer.status_code == 404 and answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.replace(".jpg", ".png"),
        lambda path: path.replace(".jpg", ".JPG"),
        lambda path: f"{path}.webp",
        lambda path: path.replace(".jpg", ""),
        lambda path: path.replace(".jpg", "."),
        lambda path: path.replace("-", ""),
        lambda path: path.replace("/1.jpg", "/.jpg"),
        lambda path: path.replace("/1.jpg", ""),
        lambda path: path.replace("/1.jpg", "/a/1.jpg"),
        lambda path: path.replace("/1", "/1.jpg/1"),
    ],
)
def test_the_id_and_the_ending_must_fit_exactly(
    client: FlaskClient, path: str, change: Callable[[str], str]
) -> None:
    assert _get(client, change(path)).status_code == 404


def test_an_image_that_is_not_compressed_is_not_found(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={0}, only={0})
    for image in images(app, request_id):
        answer = _get(client, f"/image/{image.image_id}.jpg")
        assert answer.status_code == 404 and answer.json["code"] == "image_not_found"


def test_a_lost_file_is_not_found(
    app: Flask, client: FlaskClient, path: str, request_id: str
) -> None:
    app.extensions["storage"].delete_folder(f"images/{request_id}")
    answer = _get(client, path)
    assert answer.status_code == 404 and answer.json["code"] == "not_found"
