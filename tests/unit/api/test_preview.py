"""One image is compressed at once, within its own bounds, and kept nowhere."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from imgcompress.config import Settings
from imgcompress.ledger.models import JobRequest
from imgcompress.ledger.session import reading
from imgcompress.worker import preview

from ...origin import PlainOrigin

SAMPLES = Path(__file__).parents[3] / "samples"
ROCKET = (SAMPLES / "rocket.jpg").read_bytes()


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin with a photo, a page and an empty file."""
    files = {
        "/rocket.jpg": (200, "image/jpeg", ROCKET),
        "/page": (200, "text/html", b"<!doctype html><title>A page</title>"),
        "/empty.jpg": (200, "image/jpeg", b""),
    }
    with PlainOrigin(files) as origin:
        yield origin


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that may fetch from loopback."""
    return replace(
        settings,
        allowed_private_networks=(ip_network("127.0.0.0/8"),),
        allowed_ports=((1024, 65_535),),
        uploads_per_minute=8,
    )


def test_an_image_comes_back_as_a_job_would_make_it(
    app: Flask, client: FlaskClient, origin: PlainOrigin, stored_files: Callable[[], list[Path]]
) -> None:
    form = {"url": origin.url("/rocket.jpg"), "format": "webp", "max_width": "320", "quality": "60"}
    answer = client.post("/preview", data=form)
    assert answer.status_code == 200, answer.text
    result = answer.json
    kind, _, text = result["image"].partition(";base64,")
    data = base64.b64decode(text)
    with Image.open(io.BytesIO(data)) as image:
        assert (kind, image.format, image.width) == ("data:image/webp", "WEBP", 320)
    assert (result["width"], result["height"], result["quality"]) == (320, image.height, 60)
    assert (result["input_bytes"], result["output_bytes"]) == (len(ROCKET), len(data))
    assert result["outcome"] == "target_met" and 20 < result["score"] <= 100
    assert stored_files() == []
    with app.app_context(), reading() as session:
        assert session.query(JobRequest).count() == 0


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "url"),
        ({"url": "http://10.0.0.1/1.jpg"}, "url"),
        ({"url": "example.com/1.jpg"}, "url"),
        ({"quality": "96"}, "quality"),
        ({"quality": "60", "compression_percentage": "60"}, "quality"),
        ({"webhook_url": "https://shop.test/"}, "webhook_url"),
    ],
)
def test_bad_options_are_rejected_by_name(
    client: FlaskClient, origin: PlainOrigin, form: dict[str, str], field: str
) -> None:
    url = {} if field == "url" else {"url": origin.url("/rocket.jpg")}
    answer = client.post("/preview", data=url | form)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert [issue["field"] for issue in answer.json["errors"]] == [field]
    assert not origin.requests


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/none.jpg", "source_status", "HTTP 404 Not Found"),
        ("/page", "not_an_image", "This is not an image URL"),
        ("/empty.jpg", "truncated_image", "an empty file (0 bytes)"),
    ],
)
def test_a_failure_is_that_of_a_failed_image(
    client: FlaskClient, origin: PlainOrigin, path: str, code: str, words: str
) -> None:
    answer = client.post("/preview", data={"url": origin.url(path)})
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert words in answer.json["detail"]


def test_a_preview_is_bounded(
    client: FlaskClient, origin: PlainOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"url": origin.url("/rocket.jpg")}
    monkeypatch.setattr(preview, "MAX_PIXELS", 1000)
    assert client.post("/preview", data=form).json["code"] == "too_many_pixels"
    monkeypatch.setattr(preview, "MAX_BYTES", 1000)
    assert client.post("/preview", data=form).json["code"] == "too_large"
    monkeypatch.setattr(preview, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(preview, "_places", threading.BoundedSemaphore(1))
    with preview._places:
        answer = client.post("/preview", data=form)
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_previews")
    assert int(answer.headers["Retry-After"]) > 0


def test_previews_have_a_rate_of_their_own(client: FlaskClient) -> None:
    statuses = [client.post("/preview").status_code for _ in range(9)]
    assert statuses == [400] * 8 + [429]
    assert client.post("/upload").status_code == 400
