"""How images come to those who look at them: through the service, from S3 itself, by a CDN."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from imgcompress.config import Settings

from .conftest import Upload
from tests.support.buckets import Bucket
from tests.support.records import events_of
from tests.support.work import PHOTO, images, process

CDN = "https://cdn.example.com/shop"


def _addresses(client: FlaskClient, request_id: str) -> list[str]:
    answer = client.get(f"/job/details/{request_id}")
    return [image["output_url"] for image in answer.json["images"]]


class TestRedirected:
    @pytest.fixture
    def settings(
        self, settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> Settings:
        """Return the settings of an installation that sends callers to S3."""
        return replace(bucket.use(monkeypatch, settings), image_delivery="redirect")

    @pytest.fixture
    def answer(self, app: Flask, client: FlaskClient, request_id: str) -> TestResponse:
        """Return the answer to a call for an image."""
        process(app, request_id)
        return client.get(_addresses(client, request_id)[0])

    def test_the_image_is_behind_the_link(self, answer: TestResponse) -> None:
        assert answer.status_code == 302 and answer.data == b""
        behind = requests.get(answer.location, timeout=10)
        assert behind.content == PHOTO and behind.headers["Content-Type"] == "image/jpeg"
        assert behind.headers["Cache-Control"] == "public, max-age=31536000, immutable"

    def test_no_cache_keeps_the_redirect_longer_than_its_link_is_valid(
        self, answer: TestResponse
    ) -> None:
        expires = int(parse_qs(urlsplit(answer.location).query)["X-Amz-Expires"][0])
        assert 0 < (answer.cache_control.max_age or 0) < expires
        assert answer.cache_control.public and not answer.cache_control.immutable
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    def test_head_is_answered_here(self, app: Flask, client: FlaskClient, request_id: str) -> None:
        process(app, request_id)
        answer = client.head(_addresses(client, request_id)[0], buffered=True)
        assert answer.status_code == 200 and answer.content_length == len(PHOTO)

    def test_an_unknown_image_is_not_redirected(self, client: FlaskClient) -> None:
        assert client.get(f"/image/{UUID(int=7)}.jpg").status_code == 404


class TestRedirectedFromASignedAddress:
    @pytest.fixture
    def settings(
        self, settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> Settings:
        """Return the settings of an installation whose addresses are good for 100 s."""
        return replace(
            bucket.use(monkeypatch, settings),
            image_delivery="redirect",
            signed_image_urls=True,
            image_url_secret="s" * 32,
            image_url_seconds=100,
        )

    def test_the_link_ends_with_the_address(
        self, app: Flask, client: FlaskClient, request_id: str
    ) -> None:
        process(app, request_id)
        url = _addresses(client, request_id)[0]
        answer = client.get(url)
        address = int(parse_qs(urlsplit(url).query)["expires"][0])
        link = int(parse_qs(urlsplit(answer.location).query)["X-Amz-Expires"][0])
        assert time.time() + link <= address + 1
        assert (answer.cache_control.max_age or 0) <= link
        assert client.get(url.partition("?")[0]).status_code == 403


class TestByACdn:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Return the settings of an installation behind a CDN for its images."""
        return replace(settings, image_base_url=CDN)

    def test_details_the_csv_and_webhooks_have_its_addresses(
        self, app: Flask, client: FlaskClient, upload: Upload
    ) -> None:
        answer = upload(webhook_url="https://hooks.test/").json
        request_id = answer["request_id"]
        process(app, request_id)
        expected = [
            f"{CDN}/image/{image.image_id}/{number}.jpg"
            for number, image in enumerate(images(app, request_id), 1)
        ]
        assert _addresses(client, request_id) == expected
        result = client.get(f"/job/download/{request_id}", buffered=True).data.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(result, newline="")))
        assert [url for row in rows for url in row["Output Image Urls"].split(",")] == expected
        with app.app_context():
            payload = json.loads(events_of(UUID(request_id))[-1].payload)
        assert [image["output_url"] for image in payload["images"]] == expected
        assert not answer["status_url"].startswith(CDN)
        assert not payload["details_url"].startswith(CDN)

    def test_they_lead_to_the_image_here(
        self, app: Flask, client: FlaskClient, request_id: str
    ) -> None:
        process(app, request_id)
        path = _addresses(client, request_id)[0].removeprefix(CDN)
        assert client.get(path, buffered=True).data == PHOTO


class TestByACdnWithSignedAddresses:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Return the settings of an installation that signs what its CDN asks for."""
        return replace(
            settings, image_base_url=CDN, signed_image_urls=True, image_url_secret="s" * 32
        )

    def test_the_signature_holds_behind_it(
        self, app: Flask, client: FlaskClient, request_id: str
    ) -> None:
        process(app, request_id)
        path = _addresses(client, request_id)[0].removeprefix(CDN)
        assert "signature=" in path
        assert client.get(path, buffered=True).data == PHOTO
        assert client.get(path.partition("?")[0]).status_code == 403
