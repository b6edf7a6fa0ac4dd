from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress import links
from imgcompress.config import Settings, load_settings
from imgcompress.errors import SettingsError

from .conftest import Upload
from tests.support.records import events_of
from tests.support.work import images, process

SECONDS = 1000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that signs the addresses of images."""
    return replace(
        settings, signed_image_urls=True, image_url_secret="s" * 32, image_url_seconds=SECONDS
    )


@pytest.fixture
def address(app: Flask, client: FlaskClient, request_id: str) -> str:
    """Return the address of an image, as the details of its job have it."""
    process(app, request_id)
    url: str = client.get(f"/job/details/{request_id}").json["images"][0]["output_url"]
    return url


def _get(client: FlaskClient, url: str) -> TestResponse:
    return client.get(url, buffered=True)


def test_an_address_works_as_it_was_returned(client: FlaskClient, address: str) -> None:
    answer = _get(client, address)
    assert answer.status_code == 200
    assert 0 < (answer.cache_control.max_age or 0) <= SECONDS


def test_the_ledger_keeps_it_plain(app: Flask, request_id: str, address: str) -> None:
    assert images(app, request_id)[0].image_url == address.partition("?")[0]


def test_an_address_expires(
    app: Flask, client: FlaskClient, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(app, request_id)
    with monkeypatch.context() as patch:
        patch.setattr(links, "time", _At(time.time() - SECONDS - 1))
        old = client.get(f"/job/details/{request_id}").json["images"][0]["output_url"]
    answer = _get(client, old)
    assert (answer.status_code, answer.json["code"]) == (403, "image_link_expired")


class _At:
    """A clock that stands still."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        """Return the time."""
        return self.now


@pytest.mark.parametrize(
    "change",
    [
        ("?expires=", "?expires=9"),
        ("expires", "expire"),
        ("signature=", "signature=A"),
        ("signature=", "signature=é"),
        ("&signature", "&other"),
        ("?", "?expires=99999999999&"),
        ("?expires=", "?expires=-"),
        ("?expires=", "?expires=\u0661"),
    ],
)
def test_a_changed_address_is_rejected(
    client: FlaskClient, address: str, change: tuple[str, str]
) -> None:
    answer = _get(client, address.replace(*change))
    assert (answer.status_code, answer.json["code"]) == (403, "invalid_image_link")


def test_a_signature_is_for_one_image(
    app: Flask, client: FlaskClient, request_id: str, address: str
) -> None:
    other = images(app, request_id)[1]
    path, query = f"/image/{other.image_id}.jpg", urlsplit(address).query
    assert _get(client, path).status_code == 403
    assert _get(client, f"{path}?{query}").status_code == 403
    assert _get(client, address.replace(".jpg", ".png")).status_code == 403


def test_a_signature_is_good_for_both_forms_of_an_address(
    client: FlaskClient, address: str
) -> None:
    path, _, query = address.partition("?")
    folder = path.rpartition("/")[0]
    assert _get(client, f"{folder}.jpg?{query}").status_code == 200
    assert _get(client, f"{folder}/another-name.jpg?{query}").status_code == 200
    assert _get(client, f"{folder}/another-name.png?{query}").status_code == 403


def test_addresses_of_older_versions_are_signed_as_well(
    app: Flask, client: FlaskClient, address: str
) -> None:
    folder = address.partition("?")[0].rpartition("/")[0]
    with app.app_context():
        old = links.signed_url(f"{folder}.jpg") or ""
    assert old.startswith(f"{folder}.jpg?") and _get(client, old).status_code == 200


def test_the_csv_has_signed_addresses(client: FlaskClient, request_id: str, address: str) -> None:
    answer = _get(client, f"/job/download/{request_id}")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))
    urls = [url for row in rows for url in row["Output Image Urls"].split(",")]
    assert [_get(client, url).status_code for url in urls] == [200] * 3


def test_webhooks_have_signed_addresses(app: Flask, client: FlaskClient, upload: Upload) -> None:
    request_id = upload(webhook_url="https://hooks.test/").json["request_id"]
    process(app, request_id)
    with app.app_context():
        payload = json.loads(events_of(UUID(request_id))[-1].payload)
    urls = [image["output_url"] for image in payload["images"]]
    assert [_get(client, url).status_code for url in urls] == [200] * 3


def test_signing_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNED_IMAGE_URLS", "true")
    for secret in (None, "short"):
        if secret:
            monkeypatch.setenv("IMAGE_URL_SECRET", secret)
        with pytest.raises(SettingsError, match="IMAGE_URL_SECRET") as raised:
            load_settings(None)
        assert "short" not in raised.value.message
    monkeypatch.setenv("IMAGE_URL_SECRET", "s" * 32)
    assert load_settings(None).signed_image_urls
