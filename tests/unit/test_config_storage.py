"""The settings of the storage and of image addresses."""

from __future__ import annotations

import sys

import pytest

from imgcompress.config import load_settings
from imgcompress.errors import SettingsError


@pytest.mark.parametrize("url", ["file:///srv/images", "s3://bucket", "s3://my-bucket.de/a/b/"])
def test_folders_and_buckets_are_storages(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("STORAGE_URL", url)
    assert load_settings(None).storage_url == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file://host/path",
        "file:relative",
        "/srv/images",
        "s3://",
        "s3://Bucket",
        "s3://bucket/../other",
        "s3://bucket/a//b",
        "s3://bucket?region=x",
        "s3:bucket",
        "s3://key:secret-key@bucket/prefix",
        "s3://bucket:9000/prefix",
    ],
)
def test_other_urls_are_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("STORAGE_URL", url)
    with pytest.raises(SettingsError, match="STORAGE_URL") as raised:
        load_settings(None)
    assert "secret-key" not in raised.value.message


def test_without_boto3_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setenv("STORAGE_URL", "s3://bucket")
    with pytest.raises(SettingsError, match="pip install -r requirements-s3.txt"):
        load_settings(None)


def test_all_faults_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {
        "STORAGE_URL": "s3://",
        "STORAGE_ENDPOINT": "minio:9000",
        "STORAGE_PUBLIC_ENDPOINT": "https://key:secret@s3.example.com",
        "IMAGE_DELIVERY": "carrier pigeon",
        "IMAGE_BASE_URL": "cdn.example.com",
    }
    for name, value in faults.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert all(name in raised.value.message for name in faults)


def test_only_s3_can_be_redirected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_DELIVERY", "redirect")
    with pytest.raises(SettingsError, match="IMAGE_DELIVERY.*s3://"):
        load_settings(None)
    monkeypatch.setenv("STORAGE_URL", "s3://bucket")
    assert load_settings(None).image_delivery == "redirect"
