"""The settings of webhooks and mail."""

from __future__ import annotations

from base64 import b64encode

import pytest

from imgcompress.config import SmtpServer, load_settings
from imgcompress.errors import SettingsError

NEW, OLD = (f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"n", b"o"))


def _fault(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings(None)
    return raised.value.message


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
    fault = _fault(monkeypatch, SMTP_URL=url)
    assert "SMTP_URL: must look like smtp+starttls://" in fault and "s3cr" not in fault


@pytest.mark.parametrize("sender", ["", "nobody", "a@b@c", "a@shop.test\r\nBcc: b@shop.test"])
def test_mail_needs_a_sender(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    assert "MAIL_FROM" in _fault(monkeypatch, SMTP_URL="smtp://mail.test", MAIL_FROM=sender)


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
    fault = _fault(monkeypatch, WEBHOOK_SECRET=value)
    assert "WEBHOOK_SECRET" in fault and "s3cret" not in fault and NEW not in fault


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
    fault = _fault(monkeypatch, SECRETS_KEY=value)
    assert "SECRETS_KEY: must be 32 bytes in base64" in fault
    assert "s3cret" not in fault and "AAAA" not in fault


@pytest.mark.parametrize("value", ["0", "5,-1", "5,x", "nan", "86401"])
def test_a_bad_schedule_is_reported(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert "WEBHOOK_RETRY_PAUSES" in _fault(monkeypatch, WEBHOOK_RETRY_PAUSES=value)
