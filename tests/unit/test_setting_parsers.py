"""What each kind of setting accepts, and the error that names the form of a wrong one."""

from __future__ import annotations

import sys
from base64 import b64encode
from ipaddress import ip_network

import pytest

from imgcompress.config import load_settings, variables
from imgcompress.errors import SettingsError
from imgcompress.setting_parsers import SmtpServer

NEW, OLD = (f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"n", b"o"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def _error(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    return raised.value.message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://u:s3cret@db/images", "must look like postgresql://"),
        ("DATABASE_URL", "postgresql://u:s3cr@et:x@db/images", "must look like postgresql://"),
        ("CELERY_BROKER_URL", "sqs://u:s3cret@queue", "must look like redis://"),
        ("ALLOWED_PORTS", "80,443,abc", "'abc' must be a port between 1 and 65535"),
        ("PUBLIC_BASE_URL", "http://[::1", "must look like https://images.example.com"),
        ("PUBLIC_BASE_URL", "http://images:x", "must look like https://images.example.com"),
        ("STORAGE_URL", "s3://[x", "must look like file:///absolute/path or s3://"),
        ("WEBHOOK_RETRY_PAUSES", "5,x", "must be a list of seconds"),
        ("PORT", "abc", "must be a whole number"),
        ("PORT", "70000", "must be between 1 and 65535"),
        ("FETCH_TIMEOUT", "-1", "must be at least 1"),
        ("REQUIRE_API_KEY", "perhaps", "must be true or false"),
        ("MAX_PROCESS_MEMORY", "5", "must be 0 or at least 268435456"),
    ],
)
def test_an_error_names_the_setting_and_its_form(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(None)
    assert f"{name}: {words}" in caught.value.message
    assert "s3cr" not in caught.value.message


def test_networks_and_ports_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_PRIVATE_NETWORKS", "10.0.0.0/8, fd12::/48")
    monkeypatch.setenv("ALLOWED_PORTS", "80,8000-8100")
    settings = load_settings(None)
    assert settings.allowed_private_networks == (ip_network("10.0.0.0/8"), ip_network("fd12::/48"))
    assert settings.allowed_ports == ((80, 80), (8000, 8100))


def test_names_of_hosts_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "Images.example.com, .internal,*")
    assert load_settings(None).allowed_hosts == ("images.example.com", ".internal", "*")


@pytest.mark.parametrize(
    "wrong", ["http://a.test", "a.test:80", "*.a.test", "a b", "[::1]", ".", "a_b", "a.test,b/"]
)
def test_an_invalid_host_name_is_reported(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", wrong)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert "ALLOWED_HOSTS" in raised.value.message and "without a port" in raised.value.message


@pytest.mark.parametrize("name", ["METRICS_KEY", "IMAGE_URL_SECRET"])
def test_a_short_secret_is_reported_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "xyzzy" * 6)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert name in raised.value.message and "xyzzy" not in raised.value.message
    monkeypatch.setenv(name, "xyzzy" * 7)
    assert "xyzzy" not in repr(load_settings(None))


@pytest.mark.parametrize(
    "url, server",
    [
        ("smtp://mail.test", SmtpServer("mail.test", 25)),
        ("smtp://mail.test:2525/", SmtpServer("mail.test", 2525)),
        ("smtp://mail.test?starttls", SmtpServer("mail.test", 587, "starttls")),
        (
            "smtp+starttls://u:p%40ss%2Fword@mail.test",
            SmtpServer("mail.test", 587, "starttls", "u", "p@ss/word"),
        ),
        (
            "smtps://u%40shop.test:p@mail.test:4650",
            SmtpServer("mail.test", 4650, "tls", "u@shop.test", "p"),
        ),
    ],
)
def test_a_mail_server_is_read_from_its_url(
    monkeypatch: pytest.MonkeyPatch, url: str, server: SmtpServer
) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    monkeypatch.setenv("MAIL_FROM", "images@shop.test")
    assert load_settings(None).smtp_server == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.test",
        "http://mail.test",
        "smtp://",
        "smtp://u:s3cr/et@mail",
        "smtp://u:s3cret@mail.test:port",
        "smtp://mail.test/path",
    ],
)
def test_a_bad_url_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    error = _error(monkeypatch, SMTP_URL=url)
    assert "SMTP_URL: must look like smtp+starttls://" in error and "s3cr" not in error


@pytest.mark.parametrize("sender", ["", "nobody", "a@b@c", "a@shop.test\r\nBcc: b@shop.test"])
def test_mail_needs_a_sender(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    assert "MAIL_FROM" in _error(monkeypatch, SMTP_URL="smtp://mail.test", MAIL_FROM=sender)


def test_a_sender_may_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_FROM", '"Images, Ltd" <images@shop.test>')
    assert load_settings(None).mail_from == '"Images, Ltd" <images@shop.test>'


def test_two_secrets_can_be_active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", f"{NEW}, {OLD}")
    settings = load_settings(None)
    assert settings.webhook_secrets == (NEW, OLD)
    assert NEW not in repr(settings)


@pytest.mark.parametrize("value", ["s3cret", "whsec_s3cret", f"{NEW},{OLD},{NEW}"])
def test_a_bad_secret_is_reported_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    error = _error(monkeypatch, WEBHOOK_SECRET=value)
    assert "WEBHOOK_SECRET" in error and "s3cret" not in error and NEW not in error


def test_keys_for_secrets_come_newest_first_in_either_base64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRETS_KEY", f"{'+/' * 21}8=, {'-_' * 21}8=,{'A' * 43}=")
    settings = load_settings(None)
    assert settings.secrets_keys == ("-_" * 21 + "8=", "-_" * 21 + "8=", "A" * 43 + "=")
    assert "AAAA" not in repr(settings)


@pytest.mark.parametrize("value", ["s3cret", "czNjcmV0", f"{'A' * 43}=,s3cret", "é"])
def test_a_bad_key_for_secrets_is_reported_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    error = _error(monkeypatch, SECRETS_KEY=value)
    assert "SECRETS_KEY: must be 32 bytes in base64" in error
    assert "s3cret" not in error and "AAAA" not in error


@pytest.mark.parametrize("value", ["0", "5,-1", "5,x", "nan", "86401"])
def test_a_bad_schedule_is_reported(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert "WEBHOOK_RETRY_PAUSES" in _error(monkeypatch, WEBHOOK_RETRY_PAUSES=value)


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
def test_other_urls_of_a_storage_are_rejected_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("STORAGE_URL", url)
    with pytest.raises(SettingsError, match="STORAGE_URL") as raised:
        load_settings(None)
    assert "secret-key" not in raised.value.message


def test_without_boto3_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setenv("STORAGE_URL", "s3://bucket")
    with pytest.raises(SettingsError, match="pip install -r requirements-s3.txt"):
        load_settings(None)


def test_all_errors_of_the_storage_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "STORAGE_URL": "s3://",
        "STORAGE_ENDPOINT": "minio:9000",
        "STORAGE_PUBLIC_ENDPOINT": "https://key:secret@s3.example.com",
        "IMAGE_DELIVERY": "carrier pigeon",
        "IMAGE_BASE_URL": "cdn.example.com",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    assert all(name in raised.value.message for name in wrong)


def test_only_s3_can_be_redirected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_DELIVERY", "redirect")
    with pytest.raises(SettingsError, match="IMAGE_DELIVERY.*s3://"):
        load_settings(None)
    monkeypatch.setenv("STORAGE_URL", "s3://bucket")
    assert load_settings(None).image_delivery == "redirect"
